using TorchStab.Tests.Support;

namespace TorchStab.Tests.Samples;

/// <summary>QuickStart as somebody uses it: copied into a project that references the package.</summary>
[Collection(Builds.Name)]
public class QuickStartTests(PackedLibrary package)
{
    [Fact]
    public void Copied_into_a_project_of_its_own_it_learns_and_is_healthy()
    {
        string program = File.ReadAllText(Repository.File("samples", "QuickStart", "Program.cs"));
        Assert.InRange(program.Split('\n').Length, 1, 61); // 60 lines, each with its end
        string folder = package.NewProject("quickstart", program);
        string output = DotNet.Succeed(folder, "run");
        Assert.Contains("Healthy", output);
        Assert.Matches("(9\\d|100)\\.\\d % of the points", output);
        var (exitCode, refused) = DotNet.Run(folder, "run", "--no-build", "--", "--bogus");
        Assert.Equal(2, exitCode);
        Assert.StartsWith("usage: ", refused);
    }
}

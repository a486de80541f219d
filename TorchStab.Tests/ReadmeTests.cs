using System.Text.RegularExpressions;
using TorchStab.Tests.Support;

namespace TorchStab.Tests;

/// <summary>What the README says holds.</summary>
[Collection(SharesPackedLibrary.Name)]
public partial class ReadmeTests(PackedLibrary package)
{
    private static readonly string Text = File.ReadAllText(Repository.File("README.md"));

    [Fact]
    public void The_program_to_paste_compiles_runs_and_learns()
    {
        string program = Program().Match(Text).Groups[1].Value;
        Assert.InRange(program.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length, 10, 25);
        string folder = package.NewProject("readme", program);
        string output = DotNet.Succeed(folder, "run");
        double[] losses = [.. Loss().Matches(output).Select(m => double.Parse(m.Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture))];
        Assert.True(losses.Length >= 2 && losses[^1] < losses[0] / 2, output);
        if (!OperatingSystem.IsLinux()) return;
        DotNet.Succeed(folder, "publish", "-r", "linux-x64", "--self-contained", "false", "-o", "out");
        Assert.Equal(output, DotNet.Succeed(folder, Path.Combine("out", "readme.dll")));
    }

    [GeneratedRegex("```csharp\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Program();

    [GeneratedRegex(@"loss ([0-9.]+)")]
    private static partial Regex Loss();
}

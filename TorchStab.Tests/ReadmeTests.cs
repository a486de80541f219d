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
    }

    [Fact]
    public void The_files_it_links_exist()
    {
        var links = Link().Matches(Text).Select(m => m.Groups[1].Value).Where(link => !link.Contains("://", StringComparison.Ordinal) && !link.StartsWith('#'));
        Assert.All(links, link => Assert.True(File.Exists(Repository.File(link)) || Directory.Exists(Repository.File(link)), $"{link} is missing"));
    }

    [Fact]
    public void The_tests_it_names_exist()
    {
        string[] facts = [.. typeof(ReadmeTests).Assembly.GetTypes().SelectMany(t => t.GetMethods().Select(m => $"{t.Name}.{m.Name}"))];
        string[] named = [.. TestName().Matches(Text).Select(m => m.Groups[1].Value)];
        Assert.NotEmpty(named);
        Assert.All(named, name => Assert.Contains(name, facts));
    }

    [GeneratedRegex("```csharp\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Program();

    [GeneratedRegex(@"loss ([0-9.]+)")]
    private static partial Regex Loss();

    [GeneratedRegex(@"\]\(([^)#\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"`(\w+Tests\.\w+)`")]
    private static partial Regex TestName();
}

using System.Text.RegularExpressions;
using TorchStab.Tests.Support;

namespace TorchStab.Tests;

/// <summary>What the README says holds.</summary>
[Collection(Builds.Name)]
public sealed partial class ReadmeTests(PackedLibrary package) : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("torchstab").FullName;

    private static readonly string Text = File.ReadAllText(Repository.File("README.md"));

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void The_program_to_paste_compiles_runs_and_learns()
    {
        string program = Program().Match(Text).Groups[1].Value;
        Assert.InRange(program.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length, 10, 25);
        string folder = package.NewProject("readme", program);
        string output = DotNet.Succeed(folder, "run");
        double[] losses = [.. Loss().Matches(output).Select(m => double.Parse(m.Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture))];
        Assert.True(losses.Length >= 2 && losses[^1] < losses[0] / 2, output);
        Assert.Equal(losses.Length, Loss().Count(Output().Match(Text).Groups[1].Value));
    }

    /// <summary>Rounded: accuracies to a percent and norms to a tenth, which leaves room for processors that round otherwise.</summary>
    [Fact]
    public void Its_table_is_what_the_default_run_leaves()
    {
        DotNet.Succeed(_folder, Path.Combine(AppContext.BaseDirectory, "TrainMnist.dll"));
        var runs = File.ReadLines(Path.Combine(_folder, "out", "train-mnist.csv")).Skip(1).Select(line => line.Split(',')).GroupBy(f => f[0]).ToArray();
        var rows = Row().Matches(Text).ToArray();
        Assert.Equal((3, 3), (runs.Length, rows.Length));
        foreach (var (run, row) in runs.Zip(rows))
        {
            double Said(int column) => double.Parse(row.Groups[column].Value, System.Globalization.CultureInfo.InvariantCulture);
            double Measured(string[] fields, Index column) => double.Parse(fields[column], System.Globalization.CultureInfo.InvariantCulture);
            Assert.InRange(100 * Measured(run.Last(), 3), Said(1) - 1, Said(1) + 1);
            Assert.InRange(Measured(run.First(), 6), 0.9 * Said(2), 1.1 * Said(2));
            Assert.InRange(Measured(run.First(), ^1), 0.9 * Said(3), 1.1 * Said(3));
        }
    }

    [GeneratedRegex(@"^\| (?:ten|the same) [^|]*\| (\d+) %[^|]*\| ([\d.e-]+) \| ([\d.e-]+) \|", RegexOptions.Multiline)]
    private static partial Regex Row();

    [GeneratedRegex("```text\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Output();

    [GeneratedRegex("```csharp\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Program();

    [GeneratedRegex(@"loss ([0-9.]+)")]
    private static partial Regex Loss();
}

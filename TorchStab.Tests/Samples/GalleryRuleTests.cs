using System.Globalization;
using System.Text.RegularExpressions;
using Gallery;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Samples;

/// <summary>How the gallery decides: the intervals, the answers, and how often they are wrong.</summary>
public partial class GalleryRuleTests
{
    private const int Trials = 20_000;
    private static readonly string Readme = File.ReadAllText(Repository.File(Path.Combine("samples", "Gallery", "README.md")));

    /// <summary>Against the printed table of Student's t, two-sided 95 %.</summary>
    [Theory]
    [InlineData(1, 12.706)]
    [InlineData(2, 4.303)]
    [InlineData(4, 2.776)]
    [InlineData(9, 2.262)]
    [InlineData(30, 2.042)]
    public void Quantiles_are_those_of_the_printed_table(int degreesOfFreedom, double printed) => Assert.Equal(printed, Interval.Quantile(degreesOfFreedom), 3);

    [Fact]
    public void An_interval_is_mean_and_standard_errors_and_needs_two_finite_values()
    {
        var interval = Interval.Of([1, 2, 3, 4, 5])!;
        Assert.Equal(3 - 2.7764 * Math.Sqrt(2.5 / 5), interval.Low, 3);
        Assert.Equal(3 + 2.7764 * Math.Sqrt(2.5 / 5), interval.High, 3);
        Assert.Null(Interval.Of([1]));
        Assert.Null(Interval.Of([1, double.NaN, 2]));
    }

    [Fact]
    public void Runs_are_compared_in_pairs()
    {
        // Seeds differ by far more than the two sides do; in pairs the second is above by 1.
        var (low, high) = (new Measured([10, 20, 30]), new Measured([11, 21.1, 30.9]));
        Assert.Equal(Answer.Yes, Check.Above("", high, low).Answer);
        Assert.Equal(Answer.No, Check.Above("", low, high).Answer);
        Assert.Equal(Answer.Undecided, Check.Above("", new Measured([31, 11, 21]), low).Answer);
        Assert.Equal(Answer.Undecided, Check.Above("", new Measured([double.NaN, 21, 31]), low).Answer);
        Assert.Equal("21.000 ± 9.950 against 20.000 ± 10.000; difference 1.000 (95 %: 0.752 to 1.248)", Check.Above("", high, low).Evidence);
    }

    [Fact]
    public void Equality_is_decided_against_a_margin()
    {
        var (one, other) = (new Measured([1, 2, 3]), new Measured([1.01, 2.02, 2.99]));
        Assert.Equal(Answer.Yes, Check.Same("", one, other, 0.1).Answer);
        Assert.Equal(Answer.Undecided, Check.Same("", one, other, 0.01).Answer);
        Assert.Equal(Answer.No, Check.Same("", one, other.Map(v => v + 1), 0.1).Answer);
        Assert.Equal(Answer.Yes, Check.Near("", new Measured([0.99, 1, 1.01]), 1, 0.1).Answer);
        Assert.Equal(Answer.Yes, Check.SameRatio("", one, other, 0.1).Answer);
        Assert.Equal(Answer.No, Check.SameRatio("", one, one.Map(v => 2 * v), 0.1).Answer);
    }

    [Fact]
    public void Bounds_and_ratios_are_decided_on_the_side_they_name()
    {
        var ten = new Measured([9.9, 10, 10.1]);
        Assert.Equal((Answer.Yes, Answer.No), (Check.Beyond("", ten, 9).Answer, Check.Beyond("", ten, 11).Answer));
        Assert.Equal((Answer.No, Answer.Yes), (Check.Under("", ten, 9).Answer, Check.Under("", ten, 11).Answer));
        Assert.Equal(Answer.Undecided, Check.Under("", ten, 10).Answer);
        var one = new Measured([1, 1.01, 1]);
        Assert.Equal((Answer.Yes, Answer.No), (Check.Times("", ten, one, 5).Answer, Check.Times("", ten, one, 20).Answer));
    }

    /// <summary>The README's table: five seeds, differences normally distributed around an effect in units of their standard deviation.</summary>
    [Fact]
    public void The_rule_is_as_often_right_as_the_README_says()
    {
        var rows = Power().Matches(Readme).ToArray();
        Assert.Equal([0, 1, 2, 3], rows.Select(row => Number(row, 1)));
        foreach (var row in rows)
        {
            var answers = Simulate(Number(row, 1));
            foreach (var (answer, column) in new[] { (Answer.Yes, 2), (Answer.No, 3), (Answer.Undecided, 4) })
            {
                double said = Number(row, column), share = 100.0 * answers.Count(a => a == answer) / Trials;
                // Three standard errors of a share over so many trials, and the rounding of the table.
                double slack = 3 * Math.Sqrt(said * (100 - said) / Trials) + 0.05;
                Assert.InRange(share, said - slack, said + slack);
            }
        }

        static double Number(Match row, int column) => double.Parse(row.Groups[column].Value, CultureInfo.InvariantCulture);
    }

    /// <summary>One file of the run that the table came from for each experiment; table.md of that run is the table.</summary>
    [Fact]
    public void Both_READMEs_say_what_the_run_found_whose_results_are_stored()
    {
        string stored = Path.Combine("samples", "Gallery", "Published");
        ExperimentResult[] results =
            [.. Catalogue.All.Select(e => ExperimentResult.FromJson(File.ReadAllText(Repository.File(Path.Combine(stored, e.Name + ".json")))))];
        Assert.All(results, result => Assert.Equal((false, 5), (result.Short, result.Seeds.Count)));
        Assert.Single(results.Select(r => r.Machine).Distinct());
        Assert.All(Catalogue.All.Zip(results), pair => Assert.Equal((pair.First.Number, pair.First.Title), (pair.Second.Number, pair.Second.Title)));
        Assert.Contains(MarkdownTable.Write(results), Readme);
        Assert.Contains(MarkdownTable.Count(results), Readme);
        Assert.Contains(MarkdownTable.Count(results), File.ReadAllText(Repository.File("README.md")));
    }

    private static Answer[] Simulate(double effect)
    {
        var random = new Random(1);
        double Normal() => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
        var zero = new Measured([0, 0, 0, 0, 0]);
        return [.. Enumerable.Range(0, Trials).Select(_ => Check.Above("", new Measured([.. zero.Values.Select(_ => effect + Normal())]), zero).Answer)];
    }

    [GeneratedRegex(@"^\| (\d+) \| ([\d.]+) % \| ([\d.]+) % \| ([\d.]+) % \|$", RegexOptions.Multiline)]
    private static partial Regex Power();
}

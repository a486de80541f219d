using Gallery;
using TorchStab.Samples;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Samples;

/// <summary>The gallery's verdicts, files and page; that the experiments run is shown by its short mode.</summary>
public sealed class GalleryTests : IDisposable
{
    private static readonly string Program = Path.Combine(AppContext.BaseDirectory, "Gallery.dll");
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("torchstab");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void Spread_is_the_samples_standard_deviation()
    {
        var measured = new Measured([1, 2, 6], "0.00");
        Assert.Equal(3, measured.Mean);
        Assert.Equal(Math.Sqrt(7), measured.Deviation, Tolerance.DoubleSum);
        Assert.Equal("3.00 ± 2.65", measured.Text);
        Assert.Equal("0.5", Measured.Exact(0.5).Text);
        Assert.Equal("∞ in 1 of 2", new Measured([3, double.PositiveInfinity]).Text);
        Assert.Equal("NaN", new Measured([double.NaN]).Text);
    }

    [Fact]
    public void A_difference_counts_beyond_the_spread_of_both()
    {
        var (low, near, far) = (new Measured([1, 2]), new Measured([1.5, 2.5]), new Measured([9, 10]));
        Assert.True(Check.Above("", far, low).Holds);
        Assert.False(Check.Above("", near, low).Holds);
        Assert.False(Check.Above("", low, far).Holds);
        Assert.False(Check.Above("", new Measured([double.NaN, 10]), low).Holds);
        Assert.Equal("9.500 ± 0.707 against 1.500 ± 0.707", Check.Above("", far, low).Evidence);
    }

    [Theory]
    [InlineData(false, "holds", true, true)]
    [InlineData(false, "does not hold here", true, false)]
    [InlineData(false, "does not hold here")]
    [InlineData(true, "holds (short run, 2 seeds)", true)]
    public void A_claim_holds_if_all_of_it_does_and_a_short_run_is_said(bool quick, string verdict, params bool[] checks)
    {
        Assert.Equal(verdict, Result(Catalogue.All[0], quick, checks).Verdict);
    }

    [Fact]
    public void A_result_comes_back_from_its_JSON()
    {
        string json = Result(Catalogue.All[0], quick: false, true, false).ToJson();
        var back = ExperimentResult.FromJson(json);
        Assert.Equal(json, back.ToJson());
        Assert.Equal("∞ in 1 of 2", back.Tables[0].Rows[0].Cells[0]!.Text);
        Assert.Null(back.Tables[0].Rows[0].Cells[1]);
        Assert.Equal([true, false], back.Checks.Select(check => check.Holds));
    }

    [Fact]
    public void The_page_holds_every_experiment_what_others_left_and_nothing_from_elsewhere()
    {
        var folder = new ResultFolder(_folder);
        var done = Catalogue.All[0];
        var picture = new Chart();
        picture.AddPanel("title", "x", "y").Line("line", [(1, 1), (2, 2)]);
        folder.Save(Result(done, quick: false, true), picture);
        folder.SavePage();
        string page = File.ReadAllText(Path.Combine(_folder.FullName, "index.html"));
        Assert.All(Catalogue.All, experiment => Assert.Contains($"<section id=\"{experiment.Name}\">", page));
        Assert.All(Catalogue.All, experiment => Assert.Contains($"<a href=\"#{experiment.Name}\">", page));
        Assert.Equal(2 * (Catalogue.All.Count - 1), page.Split("not run</span>").Length - 1);
        Assert.Contains("data:image/png;base64," + Convert.ToBase64String(File.ReadAllBytes(Path.Combine(_folder.FullName, done.Name + ".png"))), page);
        Assert.Contains("1 &lt; 2", page);
        Assert.DoesNotContain("http", page);
        Assert.Contains("width=device-width", page);
        Assert.Contains("@media print", page);
    }

    [Fact]
    public void Numbers_and_names_of_experiments_are_their_own()
    {
        Assert.Equal(Catalogue.All.Count, Catalogue.All.Select(e => e.Number).Distinct().Count());
        Assert.Equal(Catalogue.All.Count, Catalogue.All.Select(e => e.Name).Distinct().Count());
        Assert.All(Catalogue.All, e => Assert.Matches("^[a-z0-9-]+$", e.Name));
        SourceFile.AssertNone(SourceFile.In(Path.Combine("samples", "Gallery", "Experiments")).Where(f => f.Lines.Count >= 150).Select(f => f.Path));
    }

    [Fact]
    public void Nested_parts_report_what_is_done_of_the_whole_and_end_on_interruption()
    {
        using var stop = new CancellationTokenSource();
        using var lab = new Lab(new Settings([], true, [1], Mnist.OwnFolder, _folder), stop.Token);
        var shares = new List<double>();
        lab.Begin(shares.Add);
        foreach (int outer in lab.Each(2))
            foreach (int inner in lab.Each(2)) Assert.InRange(inner, 0, 1);
        Assert.Equal([0.25, 0.5, 0.5, 0.75, 1, 1], shares);
        Assert.Throws<OperationCanceledException>(() =>
        {
            foreach (int part in lab.Each(2)) stop.Cancel();
        });
    }

    [Fact]
    public void An_unknown_experiment_is_refused_in_one_line_that_names_all()
    {
        var (exitCode, output) = DotNet.Run(_folder.FullName, [Program, "--only", "bogus"]);
        Assert.Equal(2, exitCode);
        Assert.Contains("not 'bogus'", output);
        Assert.All(Catalogue.All, e => Assert.Contains(e.Name, output));
        Assert.Single(output.Trim().Split('\n'));
    }

    private static ExperimentResult Result(IExperiment experiment, bool quick, params bool[] checks) => new(
        experiment.Number, experiment.Name, experiment.Title, "1 < 2", "somebody", "something", quick, [1, 2],
        [.. checks.Select(holds => new Check("it is", holds, "1"))],
        [new ResultTable("table", ["row", "value", "missing"], [new ResultRow("first", [new Measured([1, double.PositiveInfinity]), null])])],
        "", DateTimeOffset.UnixEpoch, 1, "a machine");
}

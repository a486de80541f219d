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

    [Theory]
    [InlineData(Outcome.Holds, "holds", Answer.Yes, Answer.Yes)]
    [InlineData(Outcome.HoldsInPart, "holds in part (2 of 3)", Answer.Yes, Answer.Undecided, Answer.Yes)]
    [InlineData(Outcome.HoldsInPart, "holds in part (1 of 2)", Answer.Yes, Answer.No)]
    [InlineData(Outcome.DoesNotHold, "does not hold", Answer.No, Answer.Yes)]
    [InlineData(Outcome.Undecided, "undecided", Answer.Undecided, Answer.Yes)]
    internal void The_main_check_decides_and_the_others_say_how_much_of_the_claim_holds(Outcome verdict, string words, params Answer[] answers)
    {
        var result = Result(Catalogue.All[0], quick: false, answers);
        Assert.Equal((verdict, words), (result.Outcome, result.Words));
        Assert.Equal(words + " (short run, 2 seeds)", Result(Catalogue.All[0], quick: true, answers).Words);
    }

    [Fact]
    public void A_result_comes_back_from_its_JSON()
    {
        string json = Result(Catalogue.All[0], quick: false, Answer.Yes, Answer.No).ToJson();
        var back = ExperimentResult.FromJson(json);
        Assert.Equal(json, back.ToJson());
        Assert.Equal("∞ in 1 of 2", back.Tables[0].Rows[0].Cells[0]!.Text);
        Assert.Null(back.Tables[0].Rows[0].Cells[1]);
        Assert.Equal([Answer.Yes, Answer.No], back.Checks.Select(check => check.Answer));
        Assert.Equal(Outcome.HoldsInPart, back.Outcome);
    }

    [Fact]
    public void The_page_holds_every_experiment_what_others_left_and_nothing_from_elsewhere()
    {
        var folder = new ResultFolder(_folder);
        var done = Catalogue.All[0];
        var picture = new Chart();
        picture.AddPanel("title", "x", "y").Line("line", [(1, 1), (2, 2)]);
        folder.Save(Result(done, quick: false, Answer.Yes), [picture]);
        folder.SavePage();
        string page = File.ReadAllText(Path.Combine(_folder.FullName, "index.html"));
        Assert.All(Catalogue.All, experiment => Assert.Contains($"<section id=\"{experiment.Name}\">", page));
        Assert.All(Catalogue.All, experiment => Assert.Contains($"<a href=\"#{experiment.Name}\">", page));
        Assert.Equal(2 * (Catalogue.All.Count - 1), page.Split("not run</span>").Length - 1);
        foreach (string file in new[] { ".png", "-1.png" })
            Assert.Contains("data:image/png;base64," + Convert.ToBase64String(File.ReadAllBytes(Path.Combine(_folder.FullName, done.Name + file))), page);
        Assert.True(page.IndexOf("<img", StringComparison.Ordinal) < page.IndexOf("<section", StringComparison.Ordinal), "the small pictures come first");
        Assert.Contains("1 &lt; 2", page);
        Assert.Contains("<a href=\"https://example.org\">somebody</a>", page);
        Assert.DoesNotContain("src=\"http", page);
        Assert.DoesNotContain("<link", page);
        Assert.DoesNotContain("<script", page);
        Assert.Contains("width=device-width", page);
        Assert.Contains("@media print", page);
    }

    [Fact]
    public void Numbers_and_names_of_experiments_are_their_own()
    {
        Assert.Equal(Catalogue.All.Count, Catalogue.All.Select(e => e.Number).Distinct().Count());
        Assert.Equal(Catalogue.All.Count, Catalogue.All.Select(e => e.Name).Distinct().Count());
        Assert.All(Catalogue.All, e => Assert.Matches("^[a-z0-9-]+$", e.Name));
        Assert.All(Catalogue.All, e => Assert.All(e.Sources, paper => Assert.StartsWith("https://", paper.Link)));
        SourceFile.AssertNone(SourceFile.In(Path.Combine("samples", "Gallery", "Experiments")).Where(f => f.Lines.Count >= 150).Select(f => f.Path));
    }

    [Fact]
    public void Nested_parts_report_what_is_done_of_the_whole_and_end_on_interruption()
    {
        using var stop = new CancellationTokenSource();
        using var lab = new Lab(new Settings([], true, [1], 1, false, Mnist.OwnFolder, _folder), stop.Token);
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

    /// <summary>Two seeds on one process after the other, and on two at a time.</summary>
    [Fact]
    public void Numbers_do_not_depend_on_how_many_processes_run()
    {
        string Tables(int jobs)
        {
            string folder = Path.Combine(_folder.FullName, $"{jobs}");
            DotNet.Succeed(_folder.FullName, Program, "--quick", "--seeds", "2", "--only", "dropout", "--jobs", $"{jobs}", "--out", folder);
            var result = ExperimentResult.FromJson(File.ReadAllText(Path.Combine(folder, "dropout.json")));
            Assert.Equal([1, 2], result.Seeds);
            return string.Join('\n', result.Tables.SelectMany(t => t.Rows).SelectMany(r => r.Cells).SelectMany(c => c!.Values).Select(v => $"{v:r}"));
        }

        Assert.Equal(Tables(1), Tables(2));
    }

    /// <summary>Deciding again from the stored runs gives the same file, and refuses what it does not have in one line.</summary>
    [Fact]
    public void A_run_is_decided_again_without_running()
    {
        string folder = Path.Combine(_folder.FullName, "out");
        (int, string) Run(params string[] more) => DotNet.Run(_folder.FullName, [Program, "--only", "missing-root", "--out", folder, .. more]);
        string Result() => File.ReadAllText(Path.Combine(folder, "missing-root.json"));

        Assert.Equal(1, Run("--again", "--quick").Item1);
        Assert.Equal(0, Run("--quick").Item1);
        string first = Result();
        File.Delete(Path.Combine(folder, "missing-root.json"));
        Assert.Equal(0, Run("--again", "--quick").Item1);
        Assert.Equal(first, Result());
        Assert.Equal(1, Run("--again").Item1);
    }

    [Fact]
    public void Data_that_is_not_there_ends_the_run_in_one_line()
    {
        var (exitCode, output) = DotNet.Run(_folder.FullName, [Program, "--quick", "--only", "xavier", "--data", _folder.FullName]);
        Assert.Equal(1, exitCode);
        Assert.Single(output.Trim().Split('\n'));
    }

    private static ExperimentResult Result(IExperiment experiment, bool quick, params Answer[] answers) => new(
        experiment.Number, experiment.Name, experiment.Title, "1 < 2", [new Paper("somebody", "https://example.org")], "something", quick, [1, 2],
        [.. answers.Select((answer, i) => new Check($"it is {i}", answer, "1"))],
        [new ResultTable("table", ["row", "value", "missing"], [new ResultRow("first", [new Measured([1, double.PositiveInfinity]), null])])],
        1, "", DateTimeOffset.UnixEpoch, 1, "a machine");
}

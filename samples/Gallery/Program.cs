using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Gallery;
using TorchStab.Samples;

var commandLine = new CommandLine();
return SampleProgram.Run(commandLine.Root, args, Run);

void Run(ParseResult parsed, CancellationToken stop)
{
    // Networks this small are no faster on more, and this way the same seed gives the same numbers on any number of cores.
    TorchSharp.torch.set_num_threads(1);
    var settings = commandLine.Settings(parsed);
    var folder = new ResultFolder(settings.Out);
    using var lab = new Lab(settings, stop);
    Report.Line($"{settings.Experiments.Count} of {Catalogue.All.Count} experiments, {(lab.Seeds.Count == 1 ? "seed" : "seeds")} {string.Join(", ", lab.Seeds)}, {lab.Train.Count} training and {lab.Test.Count} test images");
    var watch = Stopwatch.StartNew();
    var results = new List<ExperimentResult>();
    try
    {
        ProgressView.Show([.. settings.Experiments.Select(e => e.Name)], ["seconds", "verdict"], view =>
        {
            foreach (var experiment in settings.Experiments) results.Add(Try(experiment, lab, folder, view));
        }, "experiment");
    }
    catch (OperationCanceledException) when (stop.IsCancellationRequested)
    {
        // What was done stands in the folder, and the page says so below.
    }
    if (results.Count > 0) Report.Table("Verdicts", ["claim", "verdict"], results.Select(r => (IReadOnlyList<string>)[$"{r.Number}. {r.Title}", r.Verdict]));
    Report.Line("page   " + folder.SavePage());
    Report.Took(watch.Elapsed, stop);
}

static ExperimentResult Try(IExperiment experiment, Lab lab, ResultFolder folder, ProgressView view)
{
    var watch = Stopwatch.StartNew();
    string Seconds() => watch.Elapsed.TotalSeconds.ToString("0", CultureInfo.InvariantCulture);
    lab.Begin(done => view.Update(new ProgressRow(experiment.Name, Math.Min(done, 0.999), [Seconds(), ""]), milestone: false));
    var finding = experiment.Run(lab);
    var result = ExperimentResult.Of(experiment, lab, finding, watch.Elapsed);
    folder.Save(result, finding.Picture);
    view.Update(new ProgressRow(experiment.Name, 1, [Seconds(), result.Verdict]), milestone: true);
    return result;
}

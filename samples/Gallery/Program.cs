using System.CommandLine;
using System.Diagnostics;
using Gallery;
using TorchStab.Samples;

var commandLine = new CommandLine();
return SampleProgram.Run(commandLine.Root, args, Run);

void Run(ParseResult parsed, CancellationToken stop)
{
    // Networks this small are no faster on more, and this way the same seed gives the same numbers whatever else runs.
    TorchSharp.torch.set_num_threads(1);
    var settings = commandLine.Settings(parsed);
    using var lab = new Lab(settings, stop);
    if (commandLine.IsWorker(parsed)) Worker.Serve(lab, Console.In, Console.Out);
    else Lead(settings, lab, stop);
}

static void Lead(Settings settings, Lab lab, CancellationToken stop)
{
    var folder = new ResultFolder(settings.Out);
    Report.Line($"{settings.Experiments.Count} of {Catalogue.All.Count} experiments, {(lab.Seeds.Count == 1 ? "seed" : "seeds")} "
        + $"{string.Join(", ", lab.Seeds)}, {lab.Train.Count} training, {lab.Validation.Count} validation and {lab.Test.Count} test images, "
        + Report.Count(settings.Jobs, "process", "processes"));
    var watch = Stopwatch.StartNew();
    var tour = new Tour(settings, lab, folder);
    try
    {
        if (settings.Again) tour.Again();
        else ProgressView.Show([.. settings.Experiments.Select(e => e.Name)], ["seeds", "seconds", "verdict"], view => tour.Run(view, stop), "experiment",
            [.. settings.Experiments.Select(e => e.Cost)]);
    }
    catch (OperationCanceledException) when (stop.IsCancellationRequested)
    {
        // What was done stands in the folder, and the page says so below.
    }
    if (tour.Results.Count > 0) Report.Texts("Verdicts", ["claim", "verdict"],
        tour.Results.OrderBy(r => r.Number).Select(r => (IReadOnlyList<string>)[$"{r.Number}. {r.Title}", r.Words]));
    Report.Line("page   " + folder.SavePage());
    Report.Took(watch.Elapsed, stop);
}

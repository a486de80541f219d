using System.CommandLine;
using System.Diagnostics;
using TorchStab.Samples;
using TrainMnist;

var commandLine = new CommandLine();
return SampleProgram.Run(commandLine.Root, args, Run);

void Run(ParseResult parsed, CancellationToken stop)
{
    var settings = commandLine.Training(parsed);
    var networks = commandLine.Networks(parsed);
    var output = commandLine.Output(parsed);
    var device = Devices.Open(settings.Device);
    using var train = Mnist.Train(commandLine.Data(parsed), device, commandLine.MostImages(parsed));
    using var test = Mnist.Test(commandLine.Data(parsed), device, commandLine.MostImages(parsed));
    if (settings.Batch > train.Count) throw new SampleException($"--batch {settings.Batch} is more than the {train.Count} training images.");

    var first = networks[0];
    Report.Line($"{train.Count} training and {test.Count} test images, "
        + $"{(commandLine.IsSweep(parsed) ? "5 to 30 hidden layers" : Report.Count(first.Depth, "hidden layer"))} of {Report.Count(first.Width, "unit")}, "
        + $"batches of {settings.Batch}, seed {settings.Seed}");
    var watch = Stopwatch.StartNew();
    var histories = new List<History>();
    ProgressView.Show([.. networks.Select(n => n.Name)], Trainer.Columns, view =>
    {
        var trainer = new Trainer(train, test, settings, view, stop);
        foreach (var network in networks.TakeWhile(_ => !stop.IsCancellationRequested)) histories.Add(trainer.Train(network));
    });
    if (commandLine.IsSweep(parsed)) InitSweep.PrintAndSave(histories, output);
    else new Results(histories).PrintAndSave(output);
    Report.Took(watch.Elapsed, stop);
    string[] diverged = [.. histories.Where(h => h.Diverged is not null).Select(h => $"{h.Network.Name} ({h.Diverged})")];
    if (diverged.Length > 0) throw new SampleException($"diverged: {string.Join(", ", diverged)}");
}

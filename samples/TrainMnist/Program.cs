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
    Report.Line($"{train.Count} training and {test.Count} test images, {(commandLine.IsSweep(parsed) ? "5 to 30" : first.Depth)} hidden layers of {first.Width} units, batches of {settings.Batch}, seed {settings.Seed}");
    var watch = Stopwatch.StartNew();
    var histories = new List<History>();
    ProgressView.Show([.. networks.Select(n => n.Name)], Trainer.Columns, view =>
    {
        var trainer = new Trainer(train, test, settings, view, stop);
        foreach (var network in networks.TakeWhile(_ => !stop.IsCancellationRequested)) histories.Add(trainer.Train(network));
    });
    if (commandLine.IsSweep(parsed))
    {
        InitSweep.Print(histories);
        InitSweep.Save(histories, output);
    }
    else
    {
        var results = new Results(histories);
        results.Print();
        results.Save(output);
    }
    Report.Line($"{(stop.IsCancellationRequested ? "interrupted after" : "took")} {watch.Elapsed.TotalSeconds:0.0} s");
}

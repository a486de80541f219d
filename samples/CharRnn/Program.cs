using System.CommandLine;
using System.Diagnostics;
using CharRnn;
using TorchStab.Samples;

var commandLine = new CommandLine();
return SampleProgram.Run(commandLine.Root, args, Run);

void Run(ParseResult parsed, CancellationToken stop)
{
    var settings = commandLine.Training(parsed);
    var models = commandLine.Models(parsed);
    var output = commandLine.Output(parsed);
    using var novel = Novel.Read(commandLine.Text(parsed), Devices.Open(settings.Device));
    novel.RequireRoom(settings.Batch, settings.Length);

    Report.Line($"{novel.TrainingCharacters} characters of {novel.Alphabet.Length} kinds, {Report.Count(settings.Layers, "layer")} of "
        + $"{Report.Count(settings.Width, "unit")}, {Report.Count(settings.Steps, "step")} of "
        + $"{settings.Batch} × {settings.Length} characters, seed {settings.Seed}");
    var watch = Stopwatch.StartNew();
    var histories = new List<History>();
    ProgressView.Show([.. models.Select(m => m.Name)], Trainer.Columns, view =>
    {
        var trainer = new Trainer(novel, settings, view, stop);
        foreach (var model in models.TakeWhile(_ => !stop.IsCancellationRequested)) histories.Add(trainer.Train(model));
    });
    var results = new Results(histories, novel.Alphabet.Length);
    results.Print();
    results.Save(output);
    Report.Took(watch.Elapsed, stop);
}

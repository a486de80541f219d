using System.CommandLine;
using TorchStab.Samples;

namespace DataParallel;

/// <summary>What to train, and how long.</summary>
/// <param name="Steps">Optimizer steps.</param>
/// <param name="Batch">Images of a step, all ranks together.</param>
/// <param name="LearningRate">Of Adam.</param>
/// <param name="Seed">Of parameters and order.</param>
/// <param name="Checkpoint">Saved every few steps, and gone on from where it exists; null: none.</param>
internal sealed record Settings(int Steps, int Batch, double LearningRate, int Seed, FileInfo? Checkpoint);

internal sealed class CommandLine
{
    private const int QuickSteps = 12;
    private readonly Option<int> _steps = SampleOptions.Whole("--steps", 100, 1, $"Optimizer steps; {QuickSteps} with --quick");
    private readonly Option<int> _batch = SampleOptions.Whole("--batch", 480, 2, "Images of a step, all ranks together");
    private readonly Option<double> _lr = SampleOptions.Positive("--lr", 1e-3, "Learning rate of Adam");
    private readonly Option<int> _seed = SampleOptions.Seed();
    private readonly Option<FileInfo?> _checkpoint =
        new("--checkpoint") { Description = "Saved by rank 0 every few steps; a run goes on from it where it exists", HelpName = "FILE" };
    private readonly Option<bool> _quick = SampleOptions.Quick("A few seconds");

    public CommandLine()
    {
        Root = new RootCommand("Trains TrainMnist's network (ten sigmoid layers with batch normalization) in float64 on several ranks, and once more in one "
            + "process: start it with "
            + "mpirun -n 2 dotnet run --no-build --project samples/DataParallel");
        foreach (var option in new Option[] { _steps, _batch, _lr, _seed, _checkpoint, _quick }) Root.Options.Add(option);
    }

    public RootCommand Root { get; }

    public Settings Parse(ParseResult parsed)
    {
        bool asked = parsed.GetResult(_steps) is { Implicit: false };
        return new(parsed.GetValue(_quick) && !asked ? QuickSteps : parsed.GetValue(_steps), parsed.GetValue(_batch), parsed.GetValue(_lr),
            parsed.GetValue(_seed),
            parsed.GetValue(_checkpoint));
    }
}

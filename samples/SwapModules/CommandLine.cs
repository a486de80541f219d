using System.CommandLine;
using TorchStab.Samples;

namespace SwapModules;

/// <summary>The options.</summary>
internal sealed class CommandLine
{
    private const int QuickSteps = 12, QuickWidth = 8;
    private readonly Option<int> _steps = SampleOptions.Whole("--steps", 100, 1, $"Training steps before the swap, and again after it; {QuickSteps} with --quick");
    private readonly Option<int> _width = SampleOptions.Whole("--width", 32, 1, $"Channels of the first stage; {QuickWidth} with --quick");
    private readonly Option<int> _batch = SampleOptions.Whole("--batch", 32, 2, "Images of a step");
    private readonly Option<double> _lr = SampleOptions.Positive("--lr", 1e-3, "Learning rate");
    private readonly Option<double> _clip = SampleOptions.Positive("--clip-threshold", 1, "Bound of the gradients' global norm");
    private readonly Option<int> _seed = SampleOptions.Seed();
    private readonly Option<DeviceKind> _device = Devices.Option();
    private readonly Option<bool> _quick = SampleOptions.Quick("A few seconds: fewer steps, a narrow network");

    public CommandLine()
    {
        Root = new RootCommand(
            "Operates on a network that was trained with TorchSharp alone: exchanges its norms for TorchStab's, trains on with a clipping Adam, re-estimates the "
            + "statistics over all data, folds the norms into the convolutions; and shows reports and times. The data are made up. Ctrl-C ends early.");
        foreach (var option in (Option[])[_steps, _width, _batch, _lr, _clip, _seed, _device, _quick]) Root.Options.Add(option);
    }

    public RootCommand Root { get; }

    public Settings Parse(ParseResult parsed)
    {
        bool quick = parsed.GetValue(_quick);
        return new Settings(Either(parsed, _steps, quick, QuickSteps), Either(parsed, _width, quick, QuickWidth), parsed.GetValue(_batch),
            parsed.GetValue(_lr), parsed.GetValue(_clip), parsed.GetValue(_seed), parsed.GetValue(_device));
    }

    // What is typed counts, then --quick, then the default.
    private static int Either(ParseResult parsed, Option<int> option, bool quick, int quickValue) =>
        quick && parsed.GetResult(option) is not { Implicit: false } ? quickValue : parsed.GetValue(option);
}

/// <summary>What the options say.</summary>
internal sealed record Settings(int Steps, int Width, int Batch, double LearningRate, double Clip, int Seed, DeviceKind Device);

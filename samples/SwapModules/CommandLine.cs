using System.CommandLine;
using TorchStab.Samples;

namespace SwapModules;

/// <summary>The options.</summary>
internal sealed class CommandLine
{
    private const int QuickSteps = 4, Images = 640, QuickImages = 128;
    private readonly Option<int> _steps =
        SampleOptions.Whole("--steps", 50, 1, $"Training steps before the swap, and again after it; {QuickSteps} with --quick");
    private readonly Option<int> _batch = SampleOptions.Whole("--batch", 32, 2, "Images of a step");
    private readonly Option<double> _lr = SampleOptions.Positive("--lr", 1e-3, "Learning rate");
    private readonly Option<double> _clip = SampleOptions.Positive("--clip-threshold", 1, "Bound of the gradients' global norm");
    private readonly Option<int> _seed = SampleOptions.Seed();
    private readonly Option<Choice<DeviceKind>> _device = Devices.Option();
    private readonly Option<bool> _quick = SampleOptions.Quick("Less of it: fewer steps and images");

    public CommandLine()
    {
        Root = new RootCommand(
            "Operates on TorchVision's ResNet-18, trained with TorchSharp alone: exchanges its norms for TorchStab's, trains on with a clipping Adam, "
                + "re-estimates the "
            + "statistics over all data, folds the norms into the convolutions; and shows reports and times. The data are made up. Ctrl-C ends early.");
        foreach (var option in (Option[])[_steps, _batch, _lr, _clip, _seed, _device, _quick]) Root.Options.Add(option);
    }

    public RootCommand Root { get; }

    public Settings Parse(ParseResult parsed) =>
        new(parsed.OrQuick(_steps, _quick, QuickSteps), parsed.GetValue(_quick) ? QuickImages : Images, parsed.GetValue(_batch),
        parsed.GetValue(_lr), parsed.GetValue(_clip), parsed.GetValue(_seed), parsed.GetValue(_device).Value);
}

/// <summary>What the options say.</summary>
internal sealed record Settings(int Steps, int Images, int Batch, double LearningRate, double Clip, int Seed, DeviceKind Device);

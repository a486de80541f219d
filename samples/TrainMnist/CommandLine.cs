using System.CommandLine;
using TorchStab.Samples;

namespace TrainMnist;

/// <summary>The options and what they mean together.</summary>
internal sealed class CommandLine
{
    private const int QuickImages = 2000, QuickEpochs = 2;
    private readonly Option<Choice<Activation>> _activation = SampleOptions.OneOf("--activation", Activation.Sigmoid, "Of the hidden layers");
    private readonly Option<int> _depth = SampleOptions.Whole("--depth", 10, 1, "Hidden layers");
    private readonly Option<int> _width = SampleOptions.Whole("--width", 100, 1, "Units of each hidden layer");
    private readonly Option<Choice<Norm>> _norm = SampleOptions.OneOf("--norm", Norm.Batch, "Normalization before each activation");
    private readonly Option<Choice<Init>> _init =
        SampleOptions.OneOf("--init", Init.Auto,
            "Initialization (auto: initialize_, which takes He before ReLUs, LeCun before SELU, Xavier elsewhere; normal001: N(0, 0.01²))");
    private readonly Option<Choice<ClipMode>> _clip =
        SampleOptions.OneOf("--clip", ClipMode.Global, "Gradient clipping: each value, each tensor's norm, or the norm of all");
    private readonly Option<double> _threshold = SampleOptions.Positive("--clip-threshold", 1, "What --clip bounds to");
    private readonly Option<Choice<OptimizerKind>> _optimizer =
        SampleOptions.OneOf("--optimizer", OptimizerKind.Adam, "Of all networks (sgd with momentum 0.9)");
    private readonly Option<double> _lr = SampleOptions.Positive("--lr", 1e-3, "Learning rate");
    private readonly Option<int> _batch = SampleOptions.Whole("--batch", 100, 2, "Images of a step");
    private readonly Option<int> _epochs = SampleOptions.Whole("--epochs", 12, 1, $"Passes over the training images; {QuickEpochs} with --quick");
    private readonly Option<int> _seed = SampleOptions.Seed();
    private readonly Option<Choice<DeviceKind>> _device = Devices.Option();
    private readonly Option<Choice<Precision>> _precision = MixedPrecision.Option();
    private readonly Option<DirectoryInfo> _data =
        new("--data") { Description = "Folder with MNIST's four IDX files instead of the subset that comes along", HelpName = "DIR" };
    private readonly Option<DirectoryInfo> _out = SampleOptions.Out();
    private readonly Option<bool> _quick = SampleOptions.Quick($"A few seconds: {QuickImages} images, {QuickEpochs} epochs");
    private readonly Option<bool> _sweep =
        new("--init-sweep") { Description = "Compares every initialization at depths 5 to 30 with tanh and ReLU, no norm, no clipping" };
    private readonly Option[] _networkOptions;

    public CommandLine()
    {
        _networkOptions = [_activation, _norm, _init, _clip, _threshold];
        Root = new RootCommand(
            "Trains a deep network on MNIST without and with TorchStab: ten sigmoid layers, which learn nothing as they come and learn well with Xavier "
            + "initialization, batch normalization and a clipped Adam; then ReLU with He. Options of the network describe the one with TorchStab and leave the "
            + "ReLU network out; the one without has default initialization, no norm, no clipping. Ctrl-C ends early with what was learned so far; a network "
            + "that "
            + "diverges is reported, and the exit code is 1.");
        foreach (var option in _networkOptions.Concat([_depth, _width, _optimizer, _lr, _batch, _epochs, _seed, _device, _precision, _data,
            _out, _quick, _sweep]))
            Root.Options.Add(option);
    }

    public RootCommand Root { get; }

    public DirectoryInfo Data(ParseResult parsed) => parsed.GetValue(_data) ?? Mnist.OwnFolder;

    public OutputFolder Output(ParseResult parsed) => new(parsed.GetValue(_out)!);

    public int? MostImages(ParseResult parsed) => parsed.GetValue(_quick) ? QuickImages : null;

    public TrainingSettings Training(ParseResult parsed) => new(
        parsed.GetValue(_optimizer).Value, parsed.GetValue(_lr), parsed.GetValue(_batch), parsed.OrQuick(_epochs, _quick, QuickEpochs),
        parsed.GetValue(_seed), parsed.GetValue(_device).Value, parsed.GetValue(_precision).Value);

    public bool IsSweep(ParseResult parsed) => parsed.GetValue(_sweep);

    /// <summary>The networks to compare, in order.</summary>
    public IReadOnlyList<NetworkSettings> Networks(ParseResult parsed)
    {
        if (IsSweep(parsed)) return InitSweep.Networks(parsed.GetValue(_width));
        var activation = parsed.GetValue(_activation).Value;
        var asked = new NetworkSettings($"{activation} with TorchStab", activation, parsed.GetValue(_depth), parsed.GetValue(_width),
            parsed.GetValue(_norm).Value, parsed.GetValue(_init).Value, parsed.GetValue(_clip).Value, parsed.GetValue(_threshold));
        var relu = asked with { Name = "ReLU with TorchStab", Activation = Activation.ReLU };
        return Array.Exists(_networkOptions, option => parsed.IsGiven(option)) ? [asked.Without(), asked] : [asked.Without(), asked, relu];
    }
}

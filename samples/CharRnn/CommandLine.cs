using System.CommandLine;
using TorchStab.Samples;

namespace CharRnn;

/// <summary>The options and what they mean together.</summary>
internal sealed class CommandLine
{
    private const int QuickSteps = 20, QuickWidth = 32, QuickBatch = 8, QuickLength = 32, QuickSample = 120;
    private readonly Option<int> _width = SampleOptions.Whole("--width", 128, 1, $"Units of the embedding and of each LSTM layer; {QuickWidth} with --quick");
    private readonly Option<int> _layers = SampleOptions.Whole("--layers", 1, 1, "LSTM layers");
    private readonly Option<int> _steps = SampleOptions.Whole("--steps", 300, 1, $"Training steps of each model; {QuickSteps} with --quick");
    private readonly Option<int> _batch =
        SampleOptions.Whole("--batch", 32, 1, $"ParameterIndices in the novel that are read at once; {QuickBatch} with --quick");
    private readonly Option<int> _length = SampleOptions.Whole("--length", 64, 1, $"Characters that a gradient goes back; {QuickLength} with --quick");
    private readonly Option<Choice<OptimizerChoice>> _optimizer = SampleOptions.OneOf("--optimizer", OptimizerChoice.Both, "Which runs to make");
    private readonly Option<double> _sgdLr =
        SampleOptions.Positive("--sgd-lr", 8, "Learning rate of SGD (momentum 0.9): by default one at which the plain LSTM explodes");
    private readonly Option<double> _adamLr = SampleOptions.Positive("--adam-lr", 0.2, "Learning rate of Adam: by default a high one");
    private readonly Option<double> _clip = SampleOptions.Positive("--clip", 0.25, "Bound on the gradient's norm in the runs with clipping");
    private readonly Option<int> _sample = SampleOptions.Whole("--sample", 400, 0, $"Characters that each model writes at the end; {QuickSample} with --quick");
    private readonly Option<int> _seed = SampleOptions.Seed();
    private readonly Option<Choice<DeviceKind>> _device = Devices.Option();
    private readonly Option<Choice<Precision>> _precision = MixedPrecision.Option();
    private readonly Option<FileInfo> _text = new("--text") { Description = "Another text in UTF-8, gzipped or not, instead of Moby-Dick", HelpName = "FILE" };
    private readonly Option<DirectoryInfo> _out = SampleOptions.Out();
    private readonly Option<bool> _quick = SampleOptions.Quick($"A few seconds: {QuickSteps} steps of {QuickWidth} units");

    public CommandLine()
    {
        Root = new RootCommand(
            "Trains character models on Moby-Dick: TorchSharp's LSTM and the layer-normalized one at equal width and steps; with SGD without and with gradient "
            + "clipping, at a learning rate at which the plain one explodes, and with a clipped Adam at a high learning rate. Ctrl-C ends early with what was "
            + "learned so far.");
        foreach (var option in new Option[] { _width, _layers, _steps, _batch, _length, _optimizer, _sgdLr, _adamLr, _clip, _sample, _seed, _device,
            _precision, _text, _out, _quick })
            Root.Options.Add(option);
    }

    public RootCommand Root { get; }

    public string Text(ParseResult parsed) => parsed.GetValue(_text)?.FullName ?? Novel.OwnFile;

    public OutputFolder Output(ParseResult parsed) => new(parsed.GetValue(_out)!);

    public TrainingSettings Training(ParseResult parsed) => new(
        parsed.OrQuick(_width, _quick, QuickWidth), parsed.GetValue(_layers), parsed.OrQuick(_steps, _quick, QuickSteps),
        parsed.OrQuick(_batch, _quick, QuickBatch), parsed.OrQuick(_length, _quick, QuickLength),
        parsed.GetValue(_seed), parsed.OrQuick(_sample, _quick, QuickSample), parsed.GetValue(_device).Value, parsed.GetValue(_precision).Value);

    /// <summary>The models to compare, in order.</summary>
    public IReadOnlyList<ModelSettings> Models(ParseResult parsed)
    {
        double clip = parsed.GetValue(_clip), sgd = parsed.GetValue(_sgdLr), adam = parsed.GetValue(_adamLr);
        var choice = parsed.GetValue(_optimizer).Value;
        var models = new List<ModelSettings>();
        if (choice != OptimizerChoice.Adam)
            foreach (var cell in Enum.GetValues<Cell>()) models.AddRange([new(cell, OptimizerKind.SGD, sgd, null), new(cell, OptimizerKind.SGD, sgd, clip)]);
        if (choice != OptimizerChoice.SGD)
            foreach (var cell in Enum.GetValues<Cell>()) models.Add(new(cell, OptimizerKind.Adam, adam, clip));
        return models;
    }
}

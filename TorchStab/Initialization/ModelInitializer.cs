using TorchSharp.Modules;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>Walks a model and initializes each layer by its kind and by the function that follows it.</summary>
internal sealed partial class ModelInitializer
{
    private readonly InitializationOptions _options;
    private readonly Generator? _generator;
    private readonly List<ModuleNode> _nodes;
    private readonly Dictionary<nn.Module, Activation> _after;
    private readonly HashSet<nn.Module> _lastNorms = new(ReferenceEqualityComparer.Instance);
    private readonly double _residualFactor;
    private readonly Dictionary<ParameterIdentity, string> _done = [];
    private readonly List<InitializationEntry> _entries = [];
    private readonly List<UntouchedParameter> _untouched = [];

    private ModelInitializer(nn.Module model, InitializationOptions options, Generator? generator)
    {
        (_options, _generator) = (options, generator);
        _nodes = ModuleTree.Nodes(model);
        _after = Activation.AfterLayers(_nodes);
        foreach (var block in _nodes.Where(n => options.ResidualBlocks?.Invoke(n.Name, n.Module) == true))
            if (LastNorm(block) is { } norm) _lastNorms.Add(norm);
        long outputs = options.ResidualCount ?? _nodes.Count(WritesResidual);
        _residualFactor = 1 / Math.Sqrt(Math.Max(1, outputs));
    }

    public static InitializationReport Run(nn.Module model, InitializationOptions? options, Generator? generator)
    {
        ArgumentNullException.ThrowIfNull(model);
        options ??= new();
        Check(options);
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var run = new ModelInitializer(model, options, generator);
        foreach (var node in run._nodes) run.Visit(node);
        return new(run._entries, run._untouched);
    }

    private static void Check(InitializationOptions options)
    {
        if (options.Mode is not (FanMode.FanIn or FanMode.FanOut or FanMode.FanAvg))
            throw new ArgumentException($"Mode {options.Mode} not supported", nameof(options));
        if (!Enum.IsDefined(options.Distribution)) throw new ArgumentException($"Unknown distribution {options.Distribution}", nameof(options));
        if (!(options.EmbeddingStd >= 0))
            throw new ArgumentException($"normal expects std >= 0.0, but found std {InitArguments.Cpp(options.EmbeddingStd)} in EmbeddingStd", nameof(options));
        if (double.IsNaN(options.ForgetBias)) throw new ArgumentException("expected a number, got NaN in ForgetBias", nameof(options));
        if (options.ResidualCount < 1) throw new ArgumentException(FormattableString.Invariant($"ResidualCount must be at least 1, got {options.ResidualCount}"), nameof(options));
    }

    private void Visit(ModuleNode node)
    {
        foreach (var (name, parameter) in node.Module.named_parameters(false))
        {
            string full = node.NameOf(name);
            var identity = ParameterIdentity.Of(parameter);
            if (_done.TryGetValue(identity, out string? first)) Record(full, parameter, $"shared with {first}");
            else if (Fill(node, name, parameter) is { } done) _entries.Add(done with { Parameter = full, StdMeasured = Std(parameter) });
            else _untouched.Add(new(full, node.Module.GetType().Name));
            _done.TryAdd(identity, full);
        }
    }

    /// <summary>Initializes one parameter; null where nothing is known about its layer.</summary>
    private InitializationEntry? Fill(ModuleNode node, string name, Parameter parameter) => node.Module switch
    {
        var m when LayerKind.IsNorm(m) => name == "weight" ? NormWeight(m, parameter) : Zeros(parameter),
        var m when LayerKind.IsLinearOrConvolution(m) => name == "bias" ? Zeros(parameter) : Weight(node, parameter),
        Embedding or EmbeddingBag => EmbeddingWeight(parameter),
        PReLU => Ones(parameter, 0.25, "0.25"),
        var m when LayerKind.IsRecurrent(m) => RecurrentParameter(m, name, parameter),
        var m when LayerKind.IsAttention(m) => AttentionParameter(name, parameter),
        _ => null,
    };

    private void Record(string full, Parameter parameter, string scheme) =>
        _entries.Add(new(full, scheme, null, null, Std(parameter)));

    private bool WritesResidual(ModuleNode node) =>
        LayerKind.IsLinearOrConvolution(node.Module) && _options.ResidualOutputs?.Invoke(node.Name, node.Module) == true;

    /// <summary>The block's last normalization in order of registration, outside its shortcut.</summary>
    private nn.Module? LastNorm(ModuleNode block) => _nodes
        .Where(n => n.Path.Count > block.Path.Count && ReferenceEquals(n.Path[block.Path.Count - 1], block.Module))
        .Where(n => LayerKind.IsNorm(n.Module) && n.Module.named_parameters(false).Any(p => p.name == "weight"))
        .LastOrDefault(n => !IsShortcut(block.Name.Length == 0 ? n.Name : n.Name[(block.Name.Length + 1)..]))?.Module;

    private static bool IsShortcut(string name) =>
        name.Split('.').Any(part => part is "downsample" or "shortcut" or "skip");

    private static double Std(Tensor tensor)
    {
        if (tensor.NumberOfElements < 2) return double.NaN;
        using var scope = NewDisposeScope();
        var std = tensor.std(unbiased: false);
        return std.to(ScalarType.Float64).item<double>();
    }
}

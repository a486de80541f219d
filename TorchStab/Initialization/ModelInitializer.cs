using TorchSharp.Modules;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>Initializes each layer of a model by its kind and by the function that follows it.</summary>
internal sealed partial class ModelInitializer
{
    private readonly InitializationOptions _options;
    private readonly Generator? _generator;
    private readonly List<ModuleNode> _nodes;
    private readonly Dictionary<nn.Module, Activation> _after;
    private readonly Dictionary<nn.Module, Activation?> _afterInRun;
    private readonly OutputTables _tables;
    private readonly HashSet<nn.Module> _lastNorms = new(ReferenceEqualityComparer.Instance);
    private readonly HashSet<ModuleNode> _residualOutputs;
    private readonly Dictionary<ModuleNode, InitializationRule> _rules = [];
    private readonly double _residualFactor;
    private readonly Dictionary<ParameterIdentity, string> _done = [];
    private readonly List<InitializationEntry> _entries = [];
    private readonly List<UntouchedParameter> _untouched = [];
    private readonly InitializationNotes _notes;
    private readonly DeviceNumbers _deviations;

    private ModelInitializer(nn.Module model, InitializationOptions options, Generator? generator, Action? run, DeviceNumbers deviations)
    {
        (_options, _generator, _notes, _deviations) = (options, generator, new(run is not null), deviations);
        _nodes = ModuleTree.Nodes(model);
        _after = ActivationOrder.After(_nodes);
        _tables = new(_nodes);
        foreach (var block in _nodes.Where(n => options.ResidualBlocks?.Invoke(n.Name, n.Module) == true))
            if (LastNorm(block) is { } norm) _lastNorms.Add(norm);
        // The user's functions are called before anything is written: they may throw.
        foreach (var node in _nodes)
            if (options.Rules.FirstOrDefault(r => r.Matches(node.Name, node.Path)) is { } rule) _rules.Add(node, rule);
        _residualOutputs = [.. _nodes.Where(WritesResidual)];
        _residualFactor = 1 / Math.Sqrt(Math.Max(1, options.ResidualCount ?? _residualOutputs.Count));
        _afterInRun = run is null ? [] : ActivationRun.After(_nodes, run);
    }

    public static InitializationReport Run(nn.Module model, InitializationOptions? options, Generator? generator)
    {
        ArgumentNullException.ThrowIfNull(model);
        options ??= new();
        Check(options);
        var run = RunOf(model, options);
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        using var deviations = new DeviceNumbers();
        var initializer = new ModelInitializer(model, options, generator, run, deviations);
        initializer.RequireWritable();
        foreach (var node in initializer._nodes) initializer.Visit(node);
        deviations.Read();
        return new(initializer._entries, initializer._untouched) { Notes = initializer._notes.Of(initializer._nodes, initializer._tables) };
    }

    /// <summary>The run that the options ask for; null without an Example and a Run.</summary>
    private static Action? RunOf(nn.Module model, InitializationOptions options)
    {
        if (options.Example is not { } example)
        {
            if (options.Run is not null) ModuleTree.RequireValues(model, null, "", nameof(options),
                "leave Run out, and the order of modules shows the functions");
            return options.Run;
        }
        if (options.Run is not null) throw new ArgumentException("expected an Example or a Run, got both", nameof(options));
        if (example.NumberOfElements == 0) throw new ArgumentException($"Example is empty: got shape {Repr.List(example.shape)}", nameof(options));
        ModuleTree.RequireValues(model, example, "the Example", nameof(options), "leave the Example out, and the order of modules shows the functions");
        return model is nn.Module<Tensor, Tensor> callable ? () => callable.call(example) : throw new ArgumentException(
            $"{model.GetType().Name} does not take one tensor and return one; instead of an Example give Run = () => model.call(…)", nameof(options));
    }

    private static void Check(InitializationOptions options)
    {
        if (options.Mode is not (FanMode.FanIn or FanMode.FanOut or FanMode.FanAvg))
            throw new ArgumentException($"Mode {options.Mode} not supported", nameof(options));
        if (!Enum.IsDefined(options.Distribution)) throw new ArgumentException($"Unknown distribution {options.Distribution}", nameof(options));
        if (!(options.EmbeddingStd >= 0))
            throw new ArgumentException($"normal expects std >= 0.0, but found std {InitArguments.Cpp(options.EmbeddingStd)} in EmbeddingStd", nameof(options));
        RequireFinite(options.EmbeddingStd, nameof(options.EmbeddingStd), nameof(options));
        RequireFinite(options.ForgetBias, nameof(options.ForgetBias), nameof(options));
        if (options.ResidualCount < 1)
            throw new ArgumentException(FormattableString.Invariant($"ResidualCount must be at least 1, got {options.ResidualCount}"), nameof(options));
    }

    private static void RequireFinite(double value, string name, string options)
    {
        if (!double.IsFinite(value)) throw new ArgumentException($"expected a finite number, got {InitArguments.Cpp(value)} in {name}", options);
    }

    /// <summary>Throws if a parameter cannot be written, or its dtype cannot hold a number of the options.</summary>
    private void RequireWritable()
    {
        foreach (var node in _nodes)
        {
            foreach (var (_, key, parameter) in LayerKind.Parameters(node.Module))
            {
                if (!parameter.is_floating_point() || !(parameter.requires_grad || _options.IncludeFrozen)) continue;
                InitArguments.RequireWritable(parameter, node.NameOf(key), "model");
                InitArguments.RequireFits(parameter, _options.EmbeddingStd, "options");
                InitArguments.RequireFits(parameter, _options.ForgetBias, "options");
            }
        }
    }

    private void Visit(ModuleNode node)
    {
        foreach (var (name, key, parameter) in LayerKind.Parameters(node.Module))
        {
            string full = node.NameOf(key);
            var identity = ParameterIdentity.Of(parameter);
            if (!parameter.requires_grad && !_options.IncludeFrozen) Leave(node, full, "frozen: requires_grad is false");
            else if (_done.TryGetValue(identity, out string? first)) Report(new(full, $"shared with {first}", null, null, double.NaN), parameter);
            else if (Fill(node, name, parameter) is { } done)
            {
                Report(done with { Parameter = full }, parameter);
                Follow(node, name, full);
            }
            else Leave(node, full, "");
            _done.TryAdd(identity, full);
        }
    }

    /// <summary>What else a weight is computed from follows the parameter that was drawn, so that the weight is what was drawn.</summary>
    private void Follow(ModuleNode node, string name, string full)
    {
        if (LayerKind.ComputationOf(node.Module, name) is not { } computes) return;
        computes.Follow();
        if (computes.Scale is var (key, scale))
            Report(new($"{full[..^computes.MatrixName.Length]}{key}", $"norms of {computes.MatrixName}", null, null, double.NaN), scale);
    }

    private void Leave(ModuleNode node, string full, string reason) => _untouched.Add(new(full, node.Module.GetType().Name) { Reason = reason });

    /// <summary>Initializes one parameter; null if the kind of its layer is unknown.</summary>
    private InitializationEntry? Fill(ModuleNode node, string name, Parameter parameter) => node.Module switch
    {
        var m when LayerKind.IsNorm(m) => name == "weight" ? NormWeight(node, parameter) : Zeros(parameter),
        _ when _tables.Tied(parameter) => EmbeddingWeight(parameter),
        var m when LayerKind.IsLinearOrConvolution(m) => name == "bias" ? Zeros(parameter) : Weight(node, parameter),
        var m when LayerKind.Layer(m) is Embedding or EmbeddingBag => EmbeddingWeight(parameter),
        PReLU => Ones(parameter, 0.25, "0.25"),
        var m when LayerKind.IsRecurrent(m) => RecurrentParameter(m, name, parameter),
        var m when LayerKind.IsAttention(m) => AttentionParameter(name, parameter),
        _ => null,
    };

    private bool WritesResidual(ModuleNode node) =>
        LayerKind.IsLinearOrConvolution(node.Module) && _options.ResidualOutputs?.Invoke(node.Name, node.Module) == true;

    /// <summary>The block's last normalization in order of registration, outside its shortcut.</summary>
    private nn.Module? LastNorm(ModuleNode block) => _nodes
        .Where(n => n.Path.Count > block.Path.Count && ReferenceEquals(n.Path[block.Path.Count - 1], block.Module))
        .Where(n => LayerKind.IsNorm(n.Module) && n.Module.named_parameters(false).Any(p => p.name == "weight"))
        .LastOrDefault(n => !IsShortcut(block.Name.Length == 0 ? n.Name : n.Name[(block.Name.Length + 1)..]))?.Module;

    private static bool IsShortcut(string name) =>
        name.Split('.').Any(part => part is "downsample" or "shortcut" or "skip");

    /// <summary>Adds an entry. The deviation of the drawn values is read for the whole model at once.</summary>
    private void Report(InitializationEntry entry, Tensor drawn)
    {
        int index = _entries.Count;
        _entries.Add(entry with { StdMeasured = double.NaN });
        if (drawn.NumberOfElements < 2 || !KernelSelection.HasMemory(drawn)) return;
        using var scope = NewDisposeScope();
        _deviations.Add(drawn.std(unbiased: false), std => _entries[index] = _entries[index] with { StdMeasured = std });
    }
}

using TorchStab.Diagnostics;
using TorchStab.Initialization;
using static TorchSharp.torch;

namespace TorchStab;

/// <summary>
/// Watches the outputs of a model's layers and activation functions through forward hooks, in the order in which they are called. It writes to
/// nothing, prints nothing, and holds no tensor.
/// </summary>
/// <example><code>
/// using var monitor = new ActivationMonitor(model);
/// …                                    // train as ever: every tenth call of the model is recorded
/// Console.WriteLine(monitor.Judge());
/// </code></example>
/// <remarks>
/// TorchSharp fires hooks in <c>call()</c> only: layers that a module runs by <c>forward()</c>, and functions that it calls without a module, stay
/// unseen (<see cref="Unseen"/>), and a verdict says so. A new pass begins when the model is called or, where it is run by <c>forward()</c>, when the layer that came first
/// comes again. A layer called several times in one pass is recorded once. Not for use from several threads at once.
/// </remarks>
public sealed class ActivationMonitor : IDisposable
{
    private readonly MonitorOptions _options;
    private readonly List<Action> _unwatch = [];
    private readonly HashSet<string> _unseen = [];
    private readonly List<UnregisteredModule> _unregistered;
    private readonly Queue<ActivationReport> _history = new();
    private readonly HashSet<string> _inPass = [];
    private List<ActivationRecord>? _pass;
    private ActivationLayer? _first;
    private bool _entersByCall;
    private int? _axis;
    private long _calls;

    /// <summary>Puts a hook on each layer and function of the model; <see cref="Dispose"/> takes them off.</summary>
    /// <param name="model">Any module.</param>
    /// <param name="options">How often to sample, how much to keep, thresholds; null (the default): as <see cref="MonitorOptions"/> starts.</param>
    /// <exception cref="ArgumentNullException"><paramref name="model"/> is null.</exception>
    public ActivationMonitor(nn.Module model, MonitorOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        _options = options ?? new();
        _unregistered = UnregisteredModules.Of(model);
        Add(ForwardHook.Watch(model, Enter, null));
        foreach (var layer in ActivationLayer.Of(model))
        {
            Add(ForwardHook.Watch(layer.Module, null, output => See(layer, output)));
            _unseen.Add(layer.Name);
        }
    }

    /// <summary>Whether passes are counted and recorded; turn it off around an evaluation. Default: true.</summary>
    public bool Enabled { get; set; } = true;

    /// <summary>The reports kept, oldest first.</summary>
    public IReadOnlyCollection<ActivationReport> History => _history;

    /// <summary>The latest report; null before the first.</summary>
    public ActivationReport? Last { get; private set; }

    /// <summary>Layers that have not been called through <c>call()</c> so far.</summary>
    public IReadOnlyCollection<string> Unseen => _unseen;

    /// <summary>What the latest reports say about each layer and the model; <see cref="VerdictKind.NotSeen"/> of what is in <see cref="Unseen"/>, and <see cref="VerdictKind.NotRegistered"/> of modules that the model held without registering them.</summary>
    /// <returns>A verdict on each layer, and a finding for each cause; it prints.</returns>
    public Diagnosis Judge() => ActivationJudge.Run([.. _history], _options.Thresholds, _unseen, _unregistered);

    /// <summary>Takes the hooks off: the model is as it was. The reports stay readable.</summary>
    public void Dispose()
    {
        _unwatch.ForEach(remove => remove());
        _unwatch.Clear();
    }

    private void Add(Action? remove)
    {
        if (remove is not null) _unwatch.Add(remove);
    }

    private void Enter()
    {
        if (!Enabled) return;
        _entersByCall = true;
        Begin();
    }

    private void Begin()
    {
        _inPass.Clear();
        _axis = null;
        _pass = _calls++ % _options.Every == 0 ? [] : null;
        if (_pass is null) return;
        if (_history.Count == _options.Capacity) _history.Dequeue();
        _history.Enqueue(Last = new() { Call = _calls, Layers = _pass });
    }

    private void See(ActivationLayer layer, Tensor output)
    {
        if (!Enabled) return;
        _unseen.Remove(layer.Name);
        if (!_entersByCall && (_first ??= layer) == layer) Begin();
        if (_pass is null || !_inPass.Add(layer.Name)) return;
        _axis = layer.ChannelAxis ?? _axis;
        if (ActivationMeasurement.Take(layer, output, _axis, _options.Thresholds.FlatSlope) is { } record) _pass.Add(record);
    }
}

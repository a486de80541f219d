using TorchStab.Diagnostics;
using TorchStab.Dispatch;
using TorchStab.Initialization;
using static TorchSharp.torch;

namespace TorchStab;

/// <summary>
/// Records the outputs of a model's layers and activation functions through forward hooks, in the order in which they are called. It does not change
/// the model, prints nothing, and holds no tensor after a pass; a pass on another device than the CPU waits for it once, at its end.
/// </summary>
/// <example><code>
/// using var monitor = new ActivationMonitor(model);
/// …                                    // train as before: every tenth call of the model is recorded
/// Console.WriteLine(monitor.Judge());
/// </code></example>
/// <remarks>
/// TorchSharp runs hooks in <c>call()</c> only. Layers that a module runs by <c>forward()</c>, and functions that it calls without a module, are not
/// recorded (<see cref="Unseen"/>), and a verdict says so. A new pass begins when the model is called or, for a model run by <c>forward()</c>, when
/// the first recorded layer is called again. A layer that is called several times in one pass is recorded once. A monitor is not safe for use by
/// several threads at once.
/// </remarks>
public sealed class ActivationMonitor : IDisposable
{
    private readonly MonitorOptions _options;
    private readonly List<Action> _unwatch = [];
    private readonly HashSet<string> _unseen = [];
    private readonly List<UnregisteredModule> _unregistered;
    private readonly Queue<ActivationReport> _history = new();
    private readonly Dictionary<string, ActivationLayer> _watched = [];
    private readonly HashSet<string> _inPass = [];
    private readonly List<ActivationMeasurement> _measured = [];
    private readonly DeviceNumbers _numbers = new(); // of the outputs that were measured
    private List<ActivationRecord>? _pass;
    private ActivationLayer? _first;
    private bool _entersByCall;
    private int? _axis;
    private long _calls;

    /// <summary>Registers a hook on each layer and function of the model; <see cref="Dispose"/> removes them.</summary>
    /// <param name="model">Any module.</param>
    /// <param name="options">
    /// How often to sample, how many reports to keep, thresholds; null (the default): the defaults of <see cref="MonitorOptions"/>.
    /// </param>
    /// <exception cref="ArgumentNullException"><paramref name="model"/> is null.</exception>
    public ActivationMonitor(nn.Module model, MonitorOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        _options = options ?? new();
        _unregistered = UnregisteredModules.Of(model);
        Add(ForwardHook.Watch(model, OnModelCall, null));
        foreach (var layer in ActivationLayer.Of(model))
        {
            Add(ForwardHook.Watch(layer.Module!, null, output => OnOutput(layer, output)));
            _unseen.Add(layer.Name);
        }
        Add(ForwardHook.Watch(model, null, _ => Complete()));
    }

    /// <summary>Whether passes are counted and recorded; set it to false during an evaluation. Default: true.</summary>
    public bool Enabled { get; set; } = true;

    /// <summary>The activation reports that are kept, oldest first.</summary>
    public IReadOnlyCollection<ActivationReport> History => Completed(_history);

    /// <summary>The latest activation report; null before the first.</summary>
    public ActivationReport? Last
    {
        get => Completed(field);
        private set;
    }

    /// <summary>Layers that have not been called through <c>call()</c> so far.</summary>
    public IReadOnlyCollection<string> Unseen => _unseen;

    /// <summary>
    /// Records a tensor that no module returns, such as attention logits: its mean, deviation, share of non-finite values and largest |x|. The verdict
    /// <see cref="VerdictKind.LargeLogits"/> reports one that exceeds <see cref="VerdictThresholds.LargestLogit"/>.
    /// </summary>
    /// <param name="name">The tensor's name in reports. A name that occurs again in the same pass is recorded once.</param>
    /// <param name="x">Any shape and dtype. The monitor reads it and does not keep it.</param>
    /// <exception cref="ArgumentNullException">An argument is null.</exception>
    /// <exception cref="ArgumentException"><paramref name="name"/> is empty.</exception>
    public void Watch(string name, Tensor x)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(x);
        if (!_watched.TryGetValue(name, out var layer)) _watched.Add(name, layer = new(name, null, ActivationShape.Other, -1));
        OnOutput(layer, x);
    }

    /// <summary>
    /// Judges the layers' outputs by the latest reports. Layers in <see cref="Unseen"/> are <see cref="VerdictKind.NotSeen"/>, modules that the model
    /// holds without registering them <see cref="VerdictKind.NotRegistered"/>.
    /// </summary>
    /// <returns>A verdict on each layer, and a finding for each cause; <c>ToString()</c> lists the findings.</returns>
    public Diagnosis Judge() => ActivationJudge.Run([.. History], _options.Thresholds, _unseen, _unregistered);

    /// <summary>Removes the hooks from the model. The reports stay readable.</summary>
    public void Dispose()
    {
        _unwatch.ForEach(remove => remove());
        _unwatch.Clear();
        Complete();
    }

    private void Add(Action? remove)
    {
        if (remove is not null) _unwatch.Add(remove);
    }

    private void OnModelCall()
    {
        if (!Enabled) return;
        _entersByCall = true;
        Begin();
    }

    private void Begin()
    {
        Complete();
        _inPass.Clear();
        _axis = null;
        _pass = _calls++ % _options.Every == 0 ? [] : null;
        if (_pass is null) return;
        if (_history.Count == _options.Capacity) _history.Dequeue();
        _history.Enqueue(Last = new() { Call = _calls, Layers = _pass });
    }

    private void OnOutput(ActivationLayer layer, Tensor output)
    {
        if (!Enabled) return;
        _unseen.Remove(layer.Name);
        if (!_entersByCall && (_first ??= layer) == layer) Begin();
        if (_pass is null || !_inPass.Add(layer.Name)) return;
        _axis = layer.ChannelAxis ?? _axis;
        if (ActivationMeasurement.Take(layer, output, _axis, _options.Thresholds.FlatSlope, _numbers) is { } measured) _measured.Add(measured);
        // Another device is read when the pass is over, once for all layers.
        if (KernelSelection.IsOnCpu(output) && KernelSelection.Enabled) Complete();
    }

    private void Complete()
    {
        _numbers.Read();
        _pass?.AddRange(_measured.Select(m => m.Record()));
        _measured.Clear();
    }

    private T Completed<T>(T reports)
    {
        Complete();
        return reports;
    }
}

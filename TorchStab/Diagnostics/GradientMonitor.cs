using TorchStab.Diagnostics;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab;

/// <summary>
/// Records a model's gradients and updates, layer by layer in the order of the module tree. Call <see cref="Step(optim.Optimizer)"/> instead of
/// <c>optimizer.step()</c>, or <see cref="Observe"/> between <c>backward()</c> and the step. It does not change the model, prints nothing, and holds no
/// tensor between calls (of a gradient watched on another device than the CPU a few numbers, until the next call). A sampled step waits for a device once.
/// </summary>
/// <example><code>
/// using var monitor = new GradientMonitor(model);
/// …
/// loss.backward();
/// monitor.Step(optimizer);             // every tenth step is recorded
/// …
/// Console.WriteLine(monitor.Judge());  // what is wrong, and what helps
/// </code></example>
/// <remarks>A monitor is not safe for use by several threads at once.</remarks>
public sealed class GradientMonitor : IDisposable
{
    // Between two calls of Step or Observe: a monitor whose reports nobody takes must not grow.
    private const int MostWatched = 10_000;
    private readonly nn.Module _model;
    private readonly MonitorOptions _options;
    private readonly Queue<GradientReport> _history = new();
    private readonly SteppedOptimizers _optimizers = new();
    private readonly object _watching = new();
    private List<Func<WatchedGradient>> _watched = [];
    private DeviceNumbers _numbers = new(); // of the watched gradients, until the next step or observation
    private long _calls;
    private bool _disposed;

    /// <summary>Creates a monitor of a model, which it does not change.</summary>
    /// <param name="model">Any module. The monitor reads its layers at each sample, so it may be moved, swapped and folded.</param>
    /// <param name="options">
    /// How often to sample, how many reports to keep, thresholds; null (the default): the defaults of <see cref="MonitorOptions"/>.
    /// </param>
    /// <exception cref="ArgumentNullException"><paramref name="model"/> is null.</exception>
    public GradientMonitor(nn.Module model, MonitorOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        _model = model;
        _options = options ?? new();
    }

    /// <summary>The gradient reports that are kept, oldest first.</summary>
    public IReadOnlyCollection<GradientReport> History => _history;

    /// <summary>The latest gradient report; null before the first.</summary>
    public GradientReport? Last { get; private set; }

    /// <summary>Records the gradients as they are now: call it after backward and before the step (before clipping, to record them unclipped).</summary>
    /// <returns>The report; null if this call is not sampled.</returns>
    /// <exception cref="ObjectDisposedException">The monitor is disposed.</exception>
    public GradientReport? Observe()
    {
        if (!IsSampled()) return Count(null);
        var (watched, numbers) = TakeWatched();
        using var later = numbers;
        var measured = new GradientMeasurement(TrainableLayer.Of(_model), later);
        later.Read();
        return Count(measured.Report(_calls + 1) with { Watched = [.. watched.Select(w => w())] });
    }

    /// <summary>Records the gradients, lets the optimizer step, and records how much it changed the weights.</summary>
    /// <param name="optimizer">Any optimizer of the model's parameters; for one with a closure use the overload that takes an action.</param>
    /// <returns><inheritdoc cref="Observe" path="/returns"/></returns>
    /// <exception cref="ObjectDisposedException">The monitor is disposed.</exception>
    public GradientReport? Step(optim.Optimizer optimizer)
    {
        ArgumentNullException.ThrowIfNull(optimizer);
        _optimizers.Add(optimizer);
        return Step(() => optimizer.step(), optimizer);
    }

    /// <inheritdoc cref="Step(optim.Optimizer)"/>
    /// <param name="step">An action that changes the weights, such as clipping and the optimizer's step.</param>
    public GradientReport? Step(Action step)
    {
        ArgumentNullException.ThrowIfNull(step);
        return Step(step, null);
    }

    /// <summary>
    /// Judges gradients and updates by the latest reports, and lists modules that the model holds without registering them. Without a report the
    /// verdict is <see cref="VerdictKind.NotSeen"/>.
    /// </summary>
    /// <returns>A verdict on each layer, and a finding for each cause; <c>ToString()</c> lists the findings.</returns>
    /// <remarks>
    /// A layer that starts at zero (the last norm of a block, the second matrix of an adapter) passes no gradient back until it has learned; the layers
    /// before it are healthy. A step that changes no weight (the first one of a warm-up, a skipped one) does not count for the verdicts on updates.
    /// </remarks>
    public Diagnosis Judge() => GradientJudge.Run(_model, [.. _history], _options.Thresholds, _optimizers);

    /// <summary>Ends recording: further calls of <see cref="Observe"/> and <c>Step</c> raise an error. The reports stay readable.</summary>
    public void Dispose()
    {
        _disposed = true;
        TakeWatched().Numbers.Dispose();
    }

    private GradientReport? Step(Action step, optim.Optimizer? optimizer)
    {
        if (!IsSampled())
        {
            step();
            return Count(null);
        }
        var layers = TrainableLayer.Of(_model);
        var (watched, numbers) = TakeWatched();
        using var later = numbers;
        var measured = new GradientMeasurement(layers, later);
        using var before = new WeightSnapshot(layers);
        step();
        before.Compare(later);
        later.Read();
        double[] change = before.Change();
        var report = measured.Report(_calls + 1);
        report = report with
        {
            Watched = [.. watched.Select(w => w())],
            Stepped = Array.Exists(change, c => c != 0),
            Layers = [.. report.Layers.Select((l, i) => l with { UpdateRatio = change[i] / l.WeightNorm, Change = change[i] })],
        };
        return Count(optimizer is null ? report : _optimizers.Complete(report, layers, optimizer));
    }

    /// <summary>Records a gradient during the backward pass, on any thread.</summary>
    internal void OnGradient(string name, Tensor gradient)
    {
        if (_disposed || _calls % _options.Every != 0 || _watched.Count >= MostWatched) return;
        using var later = new DeviceNumbers();
        var record = WatchedGradient.Measure(name, gradient, later);
        lock (_watching)
        {
            _watched.Add(record);
            _numbers.TakeOver(later);
        }
    }

    private (List<Func<WatchedGradient>> Watched, DeviceNumbers Numbers) TakeWatched()
    {
        lock (_watching)
        {
            var taken = (_watched, _numbers);
            (_watched, _numbers) = ([], new());
            return taken;
        }
    }

    private bool IsSampled()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return _calls % _options.Every == 0;
    }

    /// <summary>Counts a call that succeeded, and keeps its report if it was sampled.</summary>
    private GradientReport? Count(GradientReport? report)
    {
        _calls++;
        if (report is null) return null;
        if (_history.Count == _options.Capacity) _history.Dequeue();
        _history.Enqueue(report);
        return Last = report;
    }
}

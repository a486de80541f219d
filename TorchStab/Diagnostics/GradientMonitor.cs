using TorchStab.Diagnostics;
using static TorchSharp.torch;

namespace TorchStab;

/// <summary>
/// Watches a model's gradients and updates, layer by layer in the order of the module tree. Call <see cref="Step(optim.Optimizer)"/> in place of
/// <c>optimizer.step()</c>, or <see cref="Observe"/> between <c>backward()</c> and the step. It writes to nothing, prints nothing, and holds no
/// tensor between calls.
/// </summary>
/// <example><code>
/// using var monitor = new GradientMonitor(model);
/// …
/// loss.backward();
/// monitor.Step(optimizer);             // every tenth step is recorded
/// …
/// Console.WriteLine(monitor.Judge());  // what is wrong, and what helps
/// </code></example>
/// <remarks>Not for use from several threads at once.</remarks>
public sealed class GradientMonitor : IDisposable
{
    private readonly nn.Module _model;
    private readonly MonitorOptions _options;
    private readonly Queue<GradientReport> _history = new();
    private readonly Steppers _steppers = new();
    private long _calls;
    private bool _disposed;

    /// <summary>Starts to watch a model; nothing in it is changed.</summary>
    /// <param name="model">Any module. Its layers are read anew at each sample, so it may be moved, swapped and folded.</param>
    /// <param name="options">How often to sample, how much to keep, thresholds; null (the default): as <see cref="MonitorOptions"/> starts.</param>
    /// <exception cref="ArgumentNullException"><paramref name="model"/> is null.</exception>
    public GradientMonitor(nn.Module model, MonitorOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        _model = model;
        _options = options ?? new();
    }

    /// <summary>The reports kept, oldest first.</summary>
    public IReadOnlyCollection<GradientReport> History => _history;

    /// <summary>The latest report; null before the first.</summary>
    public GradientReport? Last { get; private set; }

    /// <summary>Records the gradients as they are: after backward, before the step (and before clipping, to see them unclipped).</summary>
    /// <returns>The report; null where the call is not one to be sampled.</returns>
    /// <exception cref="ObjectDisposedException">The monitor is disposed.</exception>
    public GradientReport? Observe()
    {
        return Count(IsDue() ? GradientMeasurement.Take(TrainableLayer.Of(_model), _calls + 1) : null);
    }

    /// <summary>Records the gradients, lets the optimizer step, and records how far it moved the weights.</summary>
    /// <param name="optimizer">Any optimizer over the model's parameters; one with a closure goes to the other overload.</param>
    /// <returns><inheritdoc cref="Observe" path="/returns"/></returns>
    /// <exception cref="ObjectDisposedException">The monitor is disposed.</exception>
    public GradientReport? Step(optim.Optimizer optimizer)
    {
        ArgumentNullException.ThrowIfNull(optimizer);
        _steppers.See(optimizer);
        return Step(() => optimizer.step(), optimizer);
    }

    /// <inheritdoc cref="Step(optim.Optimizer)"/>
    /// <param name="step">Whatever changes the weights, such as clipping and the optimizer's step.</param>
    public GradientReport? Step(Action step)
    {
        ArgumentNullException.ThrowIfNull(step);
        return Step(step, null);
    }

    /// <summary>What the latest reports say about each layer and the model, healthy where there is no report yet; and modules that the model holds without having registered them.</summary>
    /// <returns>A verdict on each layer, and a finding for each cause; it prints.</returns>
    /// <remarks>
    /// Layers behind one that starts at zero (the last norm of a block, the second matrix of an adapter) have no gradient until it has learned, and are
    /// no disease. A step that changes nothing at all, as in the first step of a warm-up or one that was skipped, tells nothing about updates.
    /// </remarks>
    public Diagnosis Judge() => GradientJudge.Run(_model, [.. _history], _options.Thresholds, _steppers);

    /// <summary>Stops watching. The reports stay readable; the model is as it was, for nothing was put into it.</summary>
    public void Dispose() => _disposed = true;

    private GradientReport? Step(Action step, optim.Optimizer? optimizer)
    {
        if (!IsDue())
        {
            step();
            return Count(null);
        }
        var layers = TrainableLayer.Of(_model);
        var report = GradientMeasurement.Take(layers, _calls + 1);
        using var before = new WeightSnapshot(layers);
        step();
        double[] change = before.Change();
        report = report with
        {
            Stepped = Array.Exists(change, c => c != 0),
            Layers = [.. report.Layers.Select((l, i) => l with { UpdateRatio = change[i] / l.WeightNorm, Change = change[i] })],
        };
        return Count(optimizer is null ? report : _steppers.Complete(report, layers, optimizer));
    }

    private bool IsDue()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return _calls % _options.Every == 0;
    }

    /// <summary>Counts a call that went well, and keeps its report if it has one.</summary>
    private GradientReport? Count(GradientReport? report)
    {
        _calls++;
        if (report is null) return null;
        if (_history.Count == _options.Capacity) _history.Dequeue();
        _history.Enqueue(report);
        return Last = report;
    }
}

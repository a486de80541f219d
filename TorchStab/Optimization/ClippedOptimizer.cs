using TorchSharp.Modules;
using TorchStab.Clipping;
using TorchStab.Dispatch;
using TorchStab.Optimization;
using static TorchSharp.torch;
using static TorchSharp.torch.optim;

namespace TorchStab.Modules;

/// <summary>Adds clipping and a check for NaN to any <c>torch.optim</c> optimizer: <see cref="stab.optim"/>.</summary>
public partial class ClippedOptimizer : Optimizer, IClippedStep, IScaledStep
{
    private readonly Optimizer _inner;
    private readonly StepGuard _guard;
    private readonly IReadOnlyList<Parameter>? _native; // a native optimizer creates new handles, which this object owns
    private readonly Dictionary<IntPtr, string> _names = [];
    private bool _disposed;

    /// <summary>Creates the optimizer as <c>stab.optim.ClippedOptimizer</c>.</summary>
    /// <inheritdoc cref="stab.optim.ClippedOptimizer" path="/param"/>
    /// <inheritdoc cref="stab.optim.ClippedOptimizer" path="/exception"/>
    public ClippedOptimizer(Optimizer inner, GradientClip clip, NonFinitePolicy? nonFinite = null,
        IEnumerable<(string name, Parameter parameter)>? named_parameters = null) : base(IntPtr.Zero)
    {
        ArgumentNullException.ThrowIfNull(inner);
        ArgumentNullException.ThrowIfNull(clip);
        RequireOptions(inner, nameof(inner));
        _inner = inner;
        Clip = clip;
        _guard = new StepGuard(nonFinite);
        if (inner is not OptimizerHelper) _native = [.. inner.parameters().Select(p => (Parameter)p.DetachFromDisposeScope())];
        TiedParameters.StepOnce(inner, [.. parameters()], nameof(inner));
        Name(named_parameters);
    }

    /// <inheritdoc/>
    public StepReport LastStep => _guard.Last;

    /// <inheritdoc/>
    public StepCounters Counters => _guard.Counters;

    /// <inheritdoc cref="ClippingAwareOptimizer.NonFinite"/>
    public NonFinitePolicy NonFinite
    {
        get => _guard.Policy;
        set => _guard.Policy = value ?? throw new ArgumentNullException(nameof(value));
    }

    /// <inheritdoc cref="ClippingAwareOptimizer.Spikes"/>
    /// <remarks>Not used if the inner optimizer calls the closure itself (LBFGS).</remarks>
    public SpikePolicy Spikes
    {
        get => _guard.Spikes.Policy;
        set => _guard.Spikes.Policy = value;
    }

    /// <inheritdoc cref="ClippingAwareOptimizer.Loss"/>
    public double? Loss
    {
        get => _guard.Spikes.Loss;
        set => _guard.Spikes.Loss = value;
    }

    /// <summary>The clipping rule.</summary>
    public GradientClip Clip { get; }

    /// <summary>The inner optimizer's groups, whose rates learning-rate schedulers set.</summary>
    public override IEnumerable<ILearningRateController> ParamGroups => _inner.ParamGroups;

    /// <summary>The inner optimizer.</summary>
    protected Optimizer Inner => _inner;

    /// <inheritdoc cref="ClippingAwareOptimizer.accumulate"/>
    /// <exception cref="InvalidOperationException">The inner optimizer calls the closure itself (LBFGS), so there are no passes to average.</exception>
    public void accumulate(int passes)
    {
        if (_inner is LBFGS && passes > 1)
            throw new InvalidOperationException("LBFGS calls its closure itself, several times a step; accumulate inside the closure.");
        _guard.Accumulate(passes);
    }

    /// <summary>Checks the gradients, clips them in place, and steps the inner optimizer.</summary>
    /// <param name="closure">
    /// Computes the loss and its gradients; null (the default): the gradients are there. LBFGS needs it and calls it several times: the gradients
    /// are clipped each time, and a non-finite one restores the parameters' values before the step. Its exceptions pass to the caller.
    /// </param>
    /// <returns>What the closure returned, or null.</returns>
    /// <exception cref="InvalidOperationException">
    /// A gradient is sparse, complex, has another shape or device than its parameter, cannot be written in place, or is not finite and
    /// <see cref="NonFinite"/> does not allow that; a parameter was replaced or cannot be written; another step of this optimizer is running.
    /// Nothing is changed then, and a window of <see cref="accumulate"/> remains complete, so that the next call steps.
    /// </exception>
    /// <exception cref="ArgumentException">An option of the inner optimizer was set to NaN or an infinity. Nothing is changed then.</exception>
    /// <exception cref="ObjectDisposedException">The optimizer was disposed.</exception>
    public override Tensor step(Func<Tensor>? closure = null)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_inner is LBFGS) return StepWithin(closure ?? throw new ArgumentNullException(nameof(closure), "LBFGS evaluates the loss several times a step."));
        Tensor? loss = null;
        if (closure is not null)
            using (enable_grad()) loss = closure();
        using var turn = _guard.Enter("step()");
        ObjectDisposedException.ThrowIf(_disposed, this); // the closure may have disposed it
        _guard.Spikes.Observe(loss);
        if (_guard.CompletesWindow() && ClipGradients()) _inner.step();
        return loss!;
    }

    /// <summary>Sets every gradient of the inner optimizer's parameters to null. A parameter without one does not change, even with momentum.</summary>
    public override void zero_grad() => zero_grad(true);

    /// <inheritdoc cref="ClippingAwareOptimizer.zero_grad(bool)"/>
    public void zero_grad(bool set_to_none = true)
    {
        using var turn = StepsByClosure ? default : _guard.Enter("zero_grad()"); // a closure calls this, and runs within the step of LBFGS
        if (!_guard.InsideWindow) Gradients.Clear(parameters(), set_to_none);
    }

    /// <summary>The inner optimizer's parameters.</summary>
    /// <returns>The parameters of all groups, in order.</returns>
    public override IEnumerable<Parameter> parameters() => _native ?? _inner.parameters();

    /// <summary>Adds a group to the inner optimizer.</summary>
    /// <param name="param_group">A group of the inner optimizer's <c>ParamGroup</c> class.</param>
    /// <exception cref="ArgumentException">A parameter of the group is in another group already.</exception>
    public override void add_param_group(ParamGroup param_group)
    {
        ArgumentNullException.ThrowIfNull(param_group);
        ObjectDisposedException.ThrowIf(_disposed, this);
        using var turn = _guard.Enter("add_param_group()");
        TiedParameters.RequireNew(parameters(), param_group.Parameters, nameof(param_group));
        _inner.add_param_group(param_group);
        TiedParameters.StepOnce(_inner, [.. parameters()], nameof(param_group));
    }

    /// <summary>Disposes the inner optimizer too.</summary>
    /// <param name="disposing">False when a finalizer calls.</param>
    protected override void Dispose(bool disposing)
    {
        using var turn = disposing ? _guard.Enter("Dispose()") : default;
        base.Dispose(disposing);
        if (!disposing || _disposed) return;
        _disposed = true;
        foreach (var p in _native ?? []) p.Dispose();
        _inner.Dispose();
    }

    private bool ClipGradients()
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        using var gradients = Collect();
        _guard.RequireAny(gradients);
        var verdict = _guard.Suspect(_guard.Examine(gradients, Clip.Order, Clip.Decide));
        RequireStep(gradients);
        if (verdict.Decision is { } decision) gradients.RequireWritable(decision);
        if (!_guard.Record(verdict)) return false;
        Clip.Accept();
        gradients.Apply(verdict.Decision!.Value);
        return true;
    }

    // Throws before the gradients are clipped if the inner optimizer would throw afterwards.
    private void RequireStep(GradientSet gradients)
    {
        for (int i = 0; i < gradients.Count; i++)
            if (Writable.WhyNot(gradients.Parameter(i)) is { } why)
                throw new InvalidOperationException($"The optimizer's {gradients.Name(i)} cannot be updated: {why}");
        if (_inner is ClippingAwareOptimizer own) own.Check();
        else RequireOptions(_inner, "Options");
    }

    private static void RequireOptions(Optimizer inner, string argument)
    {
        if (TorchOptimOptions.WhyNot(inner) is { } why) throw new ArgumentException(why, argument);
    }

    private GradientSet Collect()
    {
        var all = parameters().ToList();
        if (all.FindIndex(p => p.IsInvalid) is >= 0 and int gone) throw new InvalidOperationException($"The optimizer's parameter {gone} no longer exists: " +
            "the model was moved by .to(), or a layer was swapped. Call optimizer.rebind(model) after that.");
        SharedGradients.Combine(all);
        return new GradientSet(all, i => _names.TryGetValue(all[i].Handle, out string? known) ? known : $"parameter {i}").Read(_guard.Average);
    }

    // The parameters of a native optimizer are other objects than the caller's, so they are matched by position.
    private void Name(IEnumerable<(string name, Parameter parameter)>? named)
    {
        if (named?.ToList() is not { } list) return;
        if (list.Exists(n => n.parameter is null)) throw new ArgumentException("expected parameters, got null among them", "named_parameters");
        if (_native is not null && _native.Count != list.Count)
            throw new ArgumentException($"expected the names of the optimizer's {_native.Count} parameters, got {list.Count}", "named_parameters");
        var own = parameters().Where(p => !p.IsInvalid).DistinctBy(ParameterIdentity.OfLeaf).ToDictionary(ParameterIdentity.OfLeaf, p => p.Handle);
        for (int i = 0; i < list.Count; i++)
            if (_native is not null) _names[_native[i].Handle] = list[i].name;
            else if (own.TryGetValue(ParameterIdentity.OfLeaf(list[i].parameter), out var handle)) _names.TryAdd(handle, list[i].name);
    }
}

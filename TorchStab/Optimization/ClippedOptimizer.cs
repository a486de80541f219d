using TorchSharp.Modules;
using TorchStab.Clipping;
using TorchStab.Dispatch;
using TorchStab.Optimization;
using static TorchSharp.torch;
using static TorchSharp.torch.optim;

namespace TorchStab.Modules;

/// <summary>Any <c>torch.optim</c> optimizer with clipping and a check for NaN before each of its steps: <see cref="stab.optim"/>.</summary>
public partial class ClippedOptimizer : Optimizer, IClippedStep
{
    private readonly Optimizer _inner;
    private readonly StepGuard _guard;
    private readonly IReadOnlyList<Parameter>? _native; // handles of its own that a native optimizer gave out
    private readonly Dictionary<IntPtr, string> _names = [];

    /// <summary>As <c>stab.optim.ClippedOptimizer</c>.</summary>
    /// <inheritdoc cref="stab.optim.ClippedOptimizer" path="/param"/>
    /// <inheritdoc cref="stab.optim.ClippedOptimizer" path="/exception"/>
    public ClippedOptimizer(Optimizer inner, GradientClip clip, NonFinitePolicy? nonFinite = null,
        IEnumerable<(string name, Parameter parameter)>? named_parameters = null) : base(IntPtr.Zero)
    {
        ArgumentNullException.ThrowIfNull(inner);
        ArgumentNullException.ThrowIfNull(clip);
        _inner = inner;
        Clip = clip;
        _guard = new StepGuard(nonFinite);
        if (inner is not OptimizerHelper) _native = [.. inner.parameters().Select(p => (Parameter)p.DetachFromDisposeScope())];
        TiedParameters.StepOnce(inner, [.. parameters()]);
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

    /// <summary>The rule.</summary>
    public GradientClip Clip { get; }

    /// <summary>The inner optimizer's groups: learning-rate schedulers drive these.</summary>
    public override IEnumerable<ILearningRateController> ParamGroups => _inner.ParamGroups;

    /// <summary>The inner optimizer.</summary>
    protected Optimizer Inner => _inner;

    /// <inheritdoc cref="ClippingAwareOptimizer.accumulate"/>
    /// <exception cref="InvalidOperationException">The inner optimizer calls the closure itself (LBFGS): there is nothing to average.</exception>
    public void accumulate(int passes)
    {
        if (_inner is LBFGS && passes > 1) throw new InvalidOperationException("LBFGS calls its closure itself, several times a step; accumulate inside the closure.");
        _guard.Accumulate(passes);
    }

    /// <summary>Clips the gradients, in place, checks them, and lets the inner optimizer step.</summary>
    /// <param name="closure">
    /// Computes the loss and its gradients. LBFGS needs it and calls it several times: every time the gradients are clipped, and if one
    /// is not finite, the parameters are put back to where the step began. An exception in it comes out of here. null (the default) for others.
    /// </param>
    /// <returns>What the closure returned, or null.</returns>
    /// <exception cref="InvalidOperationException">A gradient is sparse, or not finite and <see cref="NonFinite"/> does not let it pass.</exception>
    public override Tensor step(Func<Tensor>? closure = null)
    {
        if (_inner is LBFGS) return StepWithin(closure ?? throw new ArgumentNullException(nameof(closure), "LBFGS evaluates the loss several times a step."));
        Tensor? loss = null;
        if (closure is not null)
            using (enable_grad()) loss = closure();
        if (_guard.CompletesWindow() && ClipGradients()) _inner.step();
        return loss!;
    }

    /// <summary>Sets every gradient to null: parameters without one stay as they are, even under momentum.</summary>
    public override void zero_grad() => zero_grad(true);

    /// <inheritdoc cref="ClippingAwareOptimizer.zero_grad(bool)"/>
    public void zero_grad(bool set_to_none = true)
    {
        if (!_guard.InsideWindow) Gradients.Clear(parameters(), set_to_none);
    }

    /// <summary>The inner optimizer's parameters.</summary>
    /// <returns>Of all groups, in order.</returns>
    public override IEnumerable<Parameter> parameters() => _native ?? _inner.parameters();

    /// <summary>Adds a group to the inner optimizer.</summary>
    /// <param name="param_group">Of the inner optimizer's own class of groups.</param>
    /// <exception cref="ArgumentException">A parameter of it is in another group already.</exception>
    public override void add_param_group(ParamGroup param_group)
    {
        ArgumentNullException.ThrowIfNull(param_group);
        _inner.add_param_group(param_group);
        TiedParameters.StepOnce(_inner, [.. parameters()]);
    }

    /// <summary>Disposes the inner optimizer too.</summary>
    /// <param name="disposing">False from a finalizer.</param>
    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        if (!disposing) return;
        foreach (var p in _native ?? []) p.Dispose();
        _inner.Dispose();
    }

    private bool ClipGradients()
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        using var gradients = Collect();
        if (_guard.Judge(gradients, Clip.Order, Clip.Decide) is not { } decision) return false;
        Apply(decision, gradients);
        return true;
    }

    private static void Apply(ClipDecision decision, GradientSet gradients)
    {
        for (int i = 0; i < gradients.Count; i++)
        {
            var c = decision[i] with { Scale = decision[i].Scale * gradients.Average };
            if (!c.IsIdentity) c.ApplyInPlace(gradients.Gradient(i));
        }
    }

    private GradientSet Collect()
    {
        SharedGradients.Combine(parameters());
        var all = parameters().ToList();
        return new GradientSet(all, i => _names.TryGetValue(all[i].Handle, out string? known) ? known : $"parameter {i}").Read(1.0 / _guard.Window);
    }

    // A native optimizer's parameters are other objects than the caller's: there the order tells.
    private void Name(IEnumerable<(string name, Parameter parameter)>? named)
    {
        if (named is null) return;
        var list = named.ToList();
        if (list.Exists(n => n.parameter is null)) throw new ArgumentException("expected parameters, got null among them", nameof(named));
        if (_native is not null && _native.Count != list.Count)
            throw new ArgumentException($"expected the names of the optimizer's {_native.Count} parameters, got {list.Count}", nameof(named));
        var own = parameters().Where(p => !p.IsInvalid).DistinctBy(ParameterIdentity.OfLeaf).ToDictionary(ParameterIdentity.OfLeaf, p => p.Handle);
        for (int i = 0; i < list.Count; i++)
            if (_native is not null) _names[_native[i].Handle] = list[i].name;
            else if (own.TryGetValue(ParameterIdentity.OfLeaf(list[i].parameter), out var handle)) _names.TryAdd(handle, list[i].name);
    }
}

using TorchSharp.Modules;
using TorchStab.Clipping;
using TorchStab.Optimization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>
/// Base of TorchStab's optimizers. One step measures the gradients, checks them for NaN, decides on clipping and updates, in the order accumulate → clip →
/// weight decay → update. A step does not write gradients unless <see cref="WriteBackClippedGrads"/>. TorchSharp's learning-rate schedulers work with them.
/// </summary>
public abstract partial class ClippingAwareOptimizer : OptimizerHelper, IClippedStep, IScaledStep
{
    private readonly List<List<ParameterSlot>> _slots = [];
    private readonly StepGuard _guard;
    private StepList? _list;

    private protected ClippingAwareOptimizer(ClipOptions defaults, NonFinitePolicy? nonFinite)
    {
        ArgumentNullException.ThrowIfNull(defaults);
        defaults.InitialLearningRate = defaults.LearningRate ?? 0;
        defaults.Validate();
        _defaults = defaults;
        _parameter_groups = [];
        _guard = new StepGuard(nonFinite);
        Clip = defaults.Rule;
    }

    /// <inheritdoc/>
    public StepReport LastStep => _guard.Last;

    /// <inheritdoc/>
    public StepCounters Counters => _guard.Counters;

    /// <summary>What to do with gradients that are not finite; default <see cref="NonFinitePolicy.Skip"/>.</summary>
    public NonFinitePolicy NonFinite
    {
        get => _guard.Policy;
        set => _guard.Policy = value ?? throw new ArgumentNullException(nameof(value));
    }

    /// <summary>
    /// The rule of all groups that have no threshold; null: no clipping. The constructor's clipnorm, clipvalue or global_clipnorm sets it;
    /// it can be set to any other <see cref="GradientClip"/>.
    /// </summary>
    public GradientClip? Clip { get; set; }

    /// <summary>Whether a step also writes the clipped gradients to <c>.grad</c>. Default false, because it costs a pass over memory.</summary>
    public bool WriteBackClippedGrads { get; set; }

    /// <summary>Averages <paramref name="passes"/> backward passes before clipping and stepping.</summary>
    /// <param name="passes">The number of passes, at least 1; 1 turns averaging off.</param>
    /// <remarks>
    /// Call <c>backward</c>, <c>step</c> and <c>zero_grad</c> as usual. Only every k-th <c>step</c> updates, with the mean of the k gradients; the
    /// other calls of <c>step</c> and <c>zero_grad</c> do nothing. The result equals that of one pass over the large batch if the loss is a mean
    /// and the model uses no batch statistics. A call starts a new window.
    /// </remarks>
    /// <exception cref="ArgumentException"><paramref name="passes"/> is below 1.</exception>
    public void accumulate(int passes) => _guard.Accumulate(passes);

    /// <summary>Checks the gradients, clips them and updates the parameters.</summary>
    /// <param name="closure">Computes the loss and its gradients; called once, with gradients enabled. null (the default): the gradients are there.</param>
    /// <returns>What the closure returned, or null.</returns>
    /// <exception cref="InvalidOperationException">
    /// A gradient is sparse, complex, has another shape or device than its parameter, or is not finite and <see cref="NonFinite"/> does not
    /// allow that; a parameter was replaced by <c>.to()</c> and <see cref="rebind(nn.Module)"/> was not called, is expanded, or is an inference
    /// tensor outside inference mode; a state was replaced by one that does not fit; another step of this optimizer is running. No parameter
    /// and no state is changed then, and a window of <see cref="accumulate"/> remains complete, so that the next call steps.
    /// </exception>
    /// <exception cref="ArgumentException">An option was set to a value outside its range. Nothing is changed then.</exception>
    /// <exception cref="ObjectDisposedException">The optimizer was disposed.</exception>
    public override Tensor step(Func<Tensor>? closure = null)
    {
        RequireAlive();
        Tensor? loss = null;
        if (closure is not null)
            using (enable_grad()) loss = closure();
        _guard.Spikes.Observe(loss);
        using var turn = _guard.Enter("step()");
        RequireAlive(); // the closure may have disposed it
        if (_guard.CompletesWindow()) Update();
        return loss!;
    }

    /// <summary>Sets every gradient to null. A step does not change a parameter without a gradient, even with momentum.</summary>
    public override void zero_grad() => zero_grad(true);

    /// <summary>Clears the gradients. Inside a window of <see cref="accumulate"/> it does nothing.</summary>
    /// <param name="set_to_none">true (default): sets them to null; false: to zero, as TorchSharp's <c>torch.optim</c> does.</param>
    public void zero_grad(bool set_to_none = true)
    {
        using var turn = _guard.Enter("zero_grad()");
        if (!_guard.InsideWindow) Gradients.Clear(parameters(), set_to_none);
    }

    /// <summary>Makes all checks of a step except those of the gradients' values.</summary>
    internal void Check()
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        using var turn = _guard.Enter("step()");
        RequireAlive();
        var list = _list ??= new(_slots);
        try
        {
            list.Read(1);
            Check(list, null);
        }
        finally
        {
            list.Release();
        }
    }

    private void RequireAlive() => ObjectDisposedException.ThrowIf(_slots.Count == 0, this);

    private void Check(StepList list, ClipDecision? decision)
    {
        foreach (var group in _parameter_groups) OptionsOf(group).Validate();
        list.Check(_parameter_groups);
        if (WriteBackClippedGrads && decision is { } changes) list.Gradients.RequireWritable(changes);
    }

    /// <summary>Updates a group: the only code that writes its parameters and state.</summary>
    private protected abstract void Update(ClipOptions options, List<ParameterUpdate> updates);

    private void Update()
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var list = _list ??= new(_slots);
        try
        {
            ReadOptions(list);
            list.Read(_guard.Average);
            _guard.RequireAny(list.Gradients);
            bool ordinary = list.IsOrdinary();
            var verdict = ordinary ? StepGuard.Admit(list.Gradients, list.Plan.Order, list.Decide)
                : _guard.Examine(list.Gradients, list.Plan.Order, list.Decide);
            verdict = _guard.Suspect(verdict);
            Check(list, verdict.Decision); // after the rules' callbacks, which may change anything
            var rest = ordinary ? null : UpdateLarge(list, ref verdict);
            if (!_guard.Record(verdict)) return;
            list.Plan.Accept();
            Update(list, verdict.Decision!.Value, rest);
            if (WriteBackClippedGrads) list.Gradients.Apply(verdict.Decision!.Value);
        }
        finally
        {
            list.Release();
        }
    }

    private void ReadOptions(StepList list)
    {
        list.Plan.Rules.Clear();
        list.Rate = 0;
        foreach (var group in _parameter_groups)
        {
            var options = OptionsOf(group);
            list.Plan.Rules.Add(options.Rule ?? Clip);
            list.Rate = Math.Max(list.Rate, options.LearningRate ?? 0);
        }
    }

    private void Update(StepList list, ClipDecision decision, Func<int, bool>? which = null)
    {
        var gradients = list.Gradients;
        for (int i = 0, g = 0; g < _slots.Count; g++)
        {
            var options = (ClipOptions)_parameter_groups[g].Options;
            list.Updates.Clear();
            for (; i < gradients.Count && list.Group(i) == g; i++)
            {
                if (which?.Invoke(i) == false) continue;
                var state = list.State(i);
                state.UseMaster(options);
                list.Updates.Add(new(gradients, i, state, gradients.Coefficient(decision, i)));
            }
            if (list.Updates.Count > 0) Update(options, list.Updates);
        }
    }

    /// <summary>Frees the state, but not the parameters.</summary>
    /// <param name="disposing">False when a finalizer calls.</param>
    protected override void Dispose(bool disposing)
    {
        using var turn = disposing ? _guard.Enter("Dispose()") : default;
        base.Dispose(disposing);
        if (!disposing) return;
        foreach (var slot in _slots.SelectMany(s => s)) slot.State.Dispose();
        _slots.Clear();
        _list = null;
        _parameter_groups.Clear();
        _state.Clear();
    }
}

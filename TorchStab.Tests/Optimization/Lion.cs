using TorchSharp.Modules;
using TorchStab.Modules;
using TorchStab.Optimization;
using static TorchSharp.torch;
using static TorchSharp.torch.optim;

namespace TorchStab.Tests.Optimization;

/// <summary>
/// Lion (Chen et al. 2023, arXiv:2302.06675): c ← β₁m + (1 − β₁)g, p ← p − lr · (sign(c) + λp), m ← β₂m + (1 − β₂)g, with g the clipped gradient.
/// An optimizer in tensor operations as it is added to the library, by the same seam; CONTRIBUTING names it as the example.
/// </summary>
internal sealed class Lion : ClippingAwareOptimizer, IBetas
{
    /// <summary>A group for each element of <paramref name="parameters"/>; what one leaves unset takes <paramref name="defaults"/>.</summary>
    public Lion(IEnumerable<ParamGroup> parameters, Options defaults, NonFinitePolicy? nonFinite = null) : base(defaults, nonFinite) => AddGroups(parameters);

    /// <summary>The defaults' (beta1, beta2), which some schedulers drive.</summary>
    public (double, double) Betas
    {
        get => ((Options)_defaults).Betas;
        set => ((Options)_defaults).Betas = value;
    }

    private protected override ClipOptions NewOptions() => new Options();

    private protected override MomentState NewState(Parameter parameter) => new State(parameter);

    private protected override void Update(ClipOptions options, List<ParameterUpdate> updates)
    {
        foreach (var update in updates) Update((Options)options, update);
    }

    private static void Update(Options o, in ParameterUpdate update)
    {
        var state = (State)update.State;
        double lr = o.LearningRate!.Value, beta1 = o.beta1!.Value, beta2 = o.beta2!.Value;
        using var step = new TensorStep(update, state.exp_avg.dtype, o.maximize);
        Tensor p = step.Parameter, g = step.Gradient, m = step.Open(state.exp_avg);
        var direction = m.mul(beta1).add_(g, alpha: 1 - beta1).sign_();
        p.mul_(1 - (lr * o.weight_decay!.Value)).add_(direction, alpha: -lr);
        m.mul_(beta2).add_(g, alpha: 1 - beta2);
        step.Commit();
    }

    /// <summary>Options of a group; what is null takes the optimizer's value.</summary>
    public sealed class Options : ClipOptions
    {
        private static readonly OptionTable Declared = new("Lion", [],
        [
            Option.Number<Options>(nameof(beta1), "Invalid beta parameter at index 0: ", Bounds.Decay),
            Option.Number<Options>(nameof(beta2), "Invalid beta parameter at index 1: ", Bounds.Decay),
            DecayOption,
            MaximizeOption,
        ]);

        /// <summary>How much of the mean stays in the direction of a step.</summary>
        public double? beta1 { get; set; }

        /// <summary>Decay of the running mean of gradients.</summary>
        public double? beta2 { get; set; }

        internal override OptionTable Table => Declared;

        internal (double, double) Betas
        {
            get => (beta1!.Value, beta2!.Value);
            set => (beta1, beta2) = value;
        }
    }

    /// <summary>What Lion remembers of a parameter.</summary>
    public sealed class State : MomentState
    {
        private static readonly MomentTable Declared = new("Lion", [], [new(nameof(exp_avg), s => ref ((State)s).exp_avg!)]);

        /// <summary>m, the running mean of gradients.</summary>
        public Tensor exp_avg = null!;

        internal State(Parameter parameter) : base(parameter) { }

        internal override MomentTable Table => Declared;
    }

    /// <summary>Parameters with options of their own; those left out take the optimizer's.</summary>
    public sealed class ParamGroup : ClipParamGroup<Options>, IBetas
    {
        public ParamGroup(IEnumerable<Parameter> parameters, Options? options = null) : base(parameters, options ?? new()) { }

        public ParamGroup(IEnumerable<(string name, Parameter parameter)> named_parameters, Options? options = null)
            : base(named_parameters, options ?? new()) { }

        public (double, double) Betas
        {
            get => Options.Betas;
            set => Options.Betas = value;
        }
    }
}

using TorchSharp.Modules;
using TorchStab.Optimization;
using static TorchSharp.torch;
using Hosts = TorchSharp.Modules;

namespace TorchStab.Modules;

/// <summary>The state of <see cref="Adam"/> and <see cref="AdamW"/> for one parameter, with PyTorch's names.</summary>
public abstract class AdamState : MomentState
{
    private static readonly MomentTable Declared = new("Adam or AdamW", [typeof(Hosts.Adam.State), typeof(Hosts.AdamW.State)],
    [
        new(nameof(exp_avg), s => ref ((AdamState)s).exp_avg!),
        new(nameof(exp_avg_sq), s => ref ((AdamState)s).exp_avg_sq!, Squares: true),
        new(nameof(max_exp_avg_sq), s => ref ((AdamState)s).max_exp_avg_sq, o => ((AdamOptions)o).amsgrad == true, Squares: true),
    ], s => ref ((AdamState)s).step);

    /// <summary>The number of updates so far; a step without a gradient for this parameter does not count.</summary>
    public long step;

    /// <summary>m, the running mean of gradients.</summary>
    public Tensor exp_avg = null!;

    /// <summary>v, the running mean of squared gradients.</summary>
    public Tensor exp_avg_sq = null!;

    /// <summary>The largest v so far; null without amsgrad.</summary>
    public Tensor? max_exp_avg_sq;

    private protected AdamState(Parameter parameter) : base(parameter) { }

    internal override MomentTable Table => Declared;
}

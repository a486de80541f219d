using TorchSharp.Modules;
using TorchStab.Dispatch;
using static TorchSharp.torch;
using Hosts = TorchSharp.Modules;

namespace TorchStab.Modules;

/// <summary>What <see cref="Adam"/> and <see cref="AdamW"/> remember of a parameter, by PyTorch's names.</summary>
public abstract class AdamState : MomentState
{
    /// <summary>Updates so far; a step without a gradient for this parameter is none.</summary>
    public long step;

    /// <summary>m, the running mean of gradients.</summary>
    public Tensor exp_avg = null!;

    /// <summary>v, the running mean of squared gradients.</summary>
    public Tensor exp_avg_sq = null!;

    /// <summary>The largest v so far; null without amsgrad.</summary>
    public Tensor? max_exp_avg_sq;

    internal MomentView Mean, Square, Max;

    private protected AdamState(Parameter parameter) : base(parameter) { }

    /// <summary>Zeros, and <see cref="max_exp_avg_sq"/> only under amsgrad.</summary>
    /// <param name="options">Those of the parameter's group.</param>
    public override void Initialize(OptimizerOptions options)
    {
        if (exp_avg is not null) Dispose();
        step = 0;
        exp_avg = Zeros();
        exp_avg_sq = Zeros();
        max_exp_avg_sq = ((AdamOptions)options).amsgrad == true ? Zeros() : null;
    }

    /// <summary>Writes what <c>torch.optim.Adam</c> writes.</summary>
    /// <param name="writer">Where to write.</param>
    public override void SaveStateDict(BinaryWriter writer)
    {
        writer.Write(step);
        Save(writer, exp_avg);
        Save(writer, exp_avg_sq);
        SaveOptional(writer, max_exp_avg_sq);
    }

    /// <summary>Reads what <c>torch.optim.Adam</c> writes.</summary>
    /// <param name="reader">Where to read.</param>
    public override void LoadStateDict(BinaryReader reader)
    {
        step = reader.ReadInt64();
        Load(reader, exp_avg);
        Load(reader, exp_avg_sq);
        Load(reader, ref max_exp_avg_sq);
    }

    /// <summary>Copies the state of another optimizer, TorchStab's or TorchSharp's Adam or AdamW.</summary>
    /// <param name="source">The state to copy.</param>
    /// <exception cref="InvalidOperationException">Of another kind of optimizer, or of other shapes; nothing is changed then.</exception>
    public override void LoadStateDict(OptimizerState source)
    {
        Check(source);
        var (steps, m, v, max) = Parts(source);
        var (mean, square, largest) = (Copy(m)!, Copy(v)!, Copy(max));
        Dispose(); // after the copies: the source may be this state itself
        (step, exp_avg, exp_avg_sq, max_exp_avg_sq) = (steps, mean, square, largest);
    }

    /// <summary>Whether another state holds nearly the same numbers.</summary>
    /// <param name="other">The other one.</param>
    /// <returns>False for one of another kind, too.</returns>
    public override bool ApproximatelyEquals(OptimizerState other) => other is AdamState s && step == s.step
        && Same(exp_avg, s.exp_avg) && Same(exp_avg_sq, s.exp_avg_sq) && Same(max_exp_avg_sq, s.max_exp_avg_sq);

    internal override long Steps
    {
        get => step;
        set => step = value;
    }

    internal override void Check(OptimizerState source)
    {
        var (steps, m, v, max) = Parts(source);
        Require(steps, 2, m, v, max);
    }

    internal override void Prefetch()
    {
        Mean.Prefetch();
        Square.Prefetch();
    }

    internal override string? WhyNot(ClipOptions options, in TensorView parameter) => WhyNot(step)
        ?? WhyNot(nameof(exp_avg), exp_avg, ref Mean, parameter)
        ?? WhyNot(nameof(exp_avg_sq), exp_avg_sq, ref Square, parameter, Mean)
        ?? (((AdamOptions)options).amsgrad == true && max_exp_avg_sq is not null ? WhyNot(nameof(max_exp_avg_sq), max_exp_avg_sq, ref Max, parameter, Mean) : null);

    /// <summary>The largest second moment; zeros where amsgrad was turned on after construction.</summary>
    internal Tensor Largest() => max_exp_avg_sq ??= Zeros();

    private protected override void Map(Func<Tensor, Tensor> change)
    {
        exp_avg = exp_avg is null ? null! : change(exp_avg);
        exp_avg_sq = exp_avg_sq is null ? null! : change(exp_avg_sq);
        max_exp_avg_sq = max_exp_avg_sq is null ? null : change(max_exp_avg_sq);
    }

    private static (long Step, Tensor M, Tensor V, Tensor? Max) Parts(OptimizerState source) => source switch
    {
        AdamState s => (s.step, s.exp_avg, s.exp_avg_sq, s.max_exp_avg_sq),
        Hosts.Adam.State s => (s.step, s.exp_avg, s.exp_avg_sq, s.max_exp_avg_sq),
        Hosts.AdamW.State s => (s.step, s.exp_avg, s.exp_avg_sq, s.max_exp_avg_sq),
        _ => throw Foreign(source, "Adam or AdamW"),
    };
}

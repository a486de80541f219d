using TorchStab.Normalization;
using static TorchStab.Scalars;

namespace TorchStab.Modules;

/// <summary>
/// Batch renormalization (Ioffe 2017), for small batches: in training y = ((x − mean)/σ·r + d)·weight + bias, where
/// r = σ/σ' clipped to [1/rmax, rmax] and d = (mean − mean')/σ' clipped to [−dmax, dmax] correct the batch's statistics towards the
/// running ones (mean', σ' = √(running_var + eps)) and are constants for the gradient. In eval mode it is <see cref="BatchNorm"/>.
/// </summary>
/// <remarks>
/// r and d use the running statistics before this batch updates them. rmax = 1 with dmax = 0, or a module without running statistics, is
/// batch normalization. The paper starts with these and widens the bounds: set <see cref="rmax"/> and <see cref="dmax"/> during training, or
/// set a <see cref="Schedule"/>. The running variance is unbiased, so that the state dict equals BatchNorm's.
/// </remarks>
public abstract class BatchRenorm : BatchNorm
{
    private double _rmax;
    private double _dmax;

    private protected BatchRenorm(string name, NormSpec spec, double rmax, double dmax) : base(name, spec) => (this.rmax, this.dmax) = (rmax, dmax);

    /// <summary>The bound of r, at least 1.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Below 1, or NaN.</exception>
    public double rmax
    {
        get => _rmax;
        set => _rmax = value >= 1 ? value
            : throw new ArgumentOutOfRangeException(nameof(rmax), value, "rmax must be at least 1; 1 with dmax 0 is batch normalization");
    }

    /// <summary>The bound of |d|, at least 0.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Below 0, or NaN.</exception>
    public double dmax
    {
        get => _dmax;
        set => _dmax = value >= 0 ? value
            : throw new ArgumentOutOfRangeException(nameof(dmax), value, "dmax must be at least 0; 0 with rmax 1 is batch normalization");
    }

    /// <summary>
    /// Computes the bounds of each training batch from the number of batches tracked so far, and replaces <see cref="rmax"/> and
    /// <see cref="dmax"/>; null (the default): no schedule.
    /// </summary>
    public Func<long, (double rmax, double dmax)>? Schedule { get; set; }

    /// <summary>
    /// The schedule of the paper's experiments: batch normalization for 5,000 steps; then rmax grows linearly to 3 at step 40,000, and dmax
    /// to 5 at step 25,000.
    /// </summary>
    /// <param name="step">The number of batches so far.</param>
    /// <returns>The bounds for the next batch.</returns>
    public static (double rmax, double dmax) PaperSchedule(long step) =>
        (Math.Clamp(1 + 2 * (step - 5000) / 35000.0, 1, 3), Math.Clamp(5 * (step - 5000) / 20000.0, 0, 5));

    /// <inheritdoc/>
    public override string extra_repr() => $"{base.extra_repr()}, rmax={Repr.Of(rmax)}, dmax={Repr.Of(dmax)}";

    private protected override (double RMax, double DMax)? Bounds()
    {
        if (!training || Schedule is null || num_batches_tracked is null) return (rmax, dmax);
        long step = (long)ReadNumber(num_batches_tracked);
        var bounds = Schedule(step);
        return bounds is { rmax: >= 1, dmax: >= 0 } ? bounds
            : throw new InvalidOperationException($"Schedule({step}) gave rmax {Repr.Of(bounds.rmax)} and dmax {Repr.Of(bounds.dmax)}; they must be at least 1 "
                + "and 0");
    }
}

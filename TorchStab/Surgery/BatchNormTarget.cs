namespace TorchStab;

/// <summary>What <c>swap_norms_</c> exchanges a BatchNorm for.</summary>
public sealed record BatchNormTarget
{
    private BatchNormTarget() { }

    /// <summary>TorchStab's BatchNorm, which computes the same numbers.</summary>
    public static BatchNormTarget Same { get; } = new();

    /// <summary>TorchStab's BatchNorm, frozen as by <c>freeze_norms_</c>: it normalizes by the running statistics in training too.</summary>
    public static BatchNormTarget Frozen { get; } = new() { IsFrozen = true };

    /// <summary>
    /// A GroupNorm with the same scale and shift and without running statistics. It computes another function, for fine-tuning with small batches
    /// (Wu and He 2018). <c>restore_norms_</c> undoes the exchange.
    /// </summary>
    /// <param name="groups">The number of groups; divides every BatchNorm's channels.</param>
    /// <returns>The target.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="groups"/> is below 1.</exception>
    public static BatchNormTarget GroupNorm(long groups)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(groups, 1);
        return new() { Groups = groups };
    }

    internal bool IsFrozen { get; private init; }

    /// <summary>The number of groups; 0 unless the target is a GroupNorm.</summary>
    internal long Groups { get; private init; }
}

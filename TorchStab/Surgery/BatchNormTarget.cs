namespace TorchStab;

/// <summary>What a BatchNorm becomes.</summary>
public sealed record BatchNormTarget
{
    private BatchNormTarget() { }

    /// <summary>TorchStab's BatchNorm: the same numbers.</summary>
    public static BatchNormTarget Same { get; } = new();

    /// <summary>TorchStab's BatchNorm, frozen as by <c>freeze_norms_</c>: normalizes with the running statistics in training too.</summary>
    public static BatchNormTarget Frozen { get; } = new() { IsFrozen = true };

    /// <summary>
    /// A GroupNorm over the same scale and shift, without running statistics: another function, for fine-tuning with small batches
    /// (Wu and He 2018). Undone by <c>restore_norms_</c>.
    /// </summary>
    /// <param name="groups">The number of groups; divides every BatchNorm's channels.</param>
    /// <returns>What it becomes.</returns>
    /// <exception cref="ArgumentOutOfRangeException">Less than one group.</exception>
    public static BatchNormTarget GroupNorm(long groups)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(groups, 1);
        return new() { Groups = groups };
    }

    internal bool IsFrozen { get; private init; }

    /// <summary>0 unless it becomes a GroupNorm.</summary>
    internal long Groups { get; private init; }
}

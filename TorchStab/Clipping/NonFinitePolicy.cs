namespace TorchStab;

/// <summary>
/// What an optimizer does with a step whose gradients hold NaN or an infinity, or are so large that the update would: a square overflows float32 from
/// 1.8e19, where PyTorch's Adam never moves an element again and its RMSprop makes it NaN. Under <see cref="Skip"/> and <see cref="Throw"/> such
/// a value never enters parameters or optimizer state. There is one check a step, on the norm; the parameter at fault is named.
/// </summary>
public sealed class NonFinitePolicy
{
    private NonFinitePolicy(bool admits, int maxConsecutive)
    {
        Admits = admits;
        MaxConsecutive = maxConsecutive;
    }

    /// <summary>Raise <see cref="InvalidOperationException"/> at the first such step, with nothing written.</summary>
    public static NonFinitePolicy Throw { get; } = new(false, 0);

    /// <summary>Step all the same, as <c>torch.optim</c> does: NaN spreads into parameters and state.</summary>
    public static NonFinitePolicy Propagate { get; } = new(true, int.MaxValue);

    internal static NonFinitePolicy Default { get; } = Skip();

    /// <summary>Whether a step with such gradients is taken.</summary>
    internal bool Admits { get; }

    /// <summary>How many steps in a row may be skipped.</summary>
    internal int MaxConsecutive { get; }

    /// <summary>
    /// Leave the step out and count it (the default policy). A run that only ever skips is broken and must not look alive: when
    /// <paramref name="maxConsecutive"/> steps in a row have been skipped, the next such step raises
    /// <see cref="InvalidOperationException"/> with the parameter's name.
    /// </summary>
    /// <param name="maxConsecutive">At least 1; default 20.</param>
    /// <returns>The policy.</returns>
    /// <exception cref="ArgumentException"><paramref name="maxConsecutive"/> is below 1.</exception>
    public static NonFinitePolicy Skip(int maxConsecutive = 20) => maxConsecutive >= 1 ? new(false, maxConsecutive)
        : throw new ArgumentException(FormattableString.Invariant($"expected at least 1, got {maxConsecutive}; to allow none use NonFinitePolicy.Throw"), nameof(maxConsecutive));
}

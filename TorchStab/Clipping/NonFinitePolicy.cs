namespace TorchStab;

/// <summary>
/// What an optimizer does when gradients hold NaN or an infinity, or are so large that the update would not be finite: the square of a number above
/// 1.8e19 overflows float32, after which PyTorch's Adam never moves the element again and its RMSprop makes it NaN. Under <see cref="Skip"/> and
/// <see cref="Throw"/> such a value never enters parameters or optimizer state. One check of the norm in each step finds it; the report or the error
/// names the parameter.
/// </summary>
public sealed class NonFinitePolicy
{
    private NonFinitePolicy(bool admits, int maxConsecutive)
    {
        Admits = admits;
        MaxConsecutive = maxConsecutive;
    }

    /// <summary>Raises <see cref="InvalidOperationException"/> at the first such step, before anything is written.</summary>
    public static NonFinitePolicy Throw { get; } = new(false, 0);

    /// <summary>Takes the step, as <c>torch.optim</c> does: NaN enters parameters and state.</summary>
    public static NonFinitePolicy Propagate { get; } = new(true, int.MaxValue);

    internal static NonFinitePolicy Default { get; } = Skip();

    /// <summary>Whether the optimizer takes a step with such gradients.</summary>
    internal bool Admits { get; }

    /// <summary>The number of steps in a row that may be skipped.</summary>
    internal int MaxConsecutive { get; }

    /// <summary>
    /// Skips the step and counts it (the default policy). A run that skips every step is broken, and must not go on unnoticed: after
    /// <paramref name="maxConsecutive"/> skipped steps in a row, the next one raises <see cref="InvalidOperationException"/> with the parameter's name.
    /// </summary>
    /// <param name="maxConsecutive">At least 1; default 20.</param>
    /// <returns>The policy.</returns>
    /// <exception cref="ArgumentException"><paramref name="maxConsecutive"/> is below 1.</exception>
    public static NonFinitePolicy Skip(int maxConsecutive = 20) => maxConsecutive >= 1 ? new(false, maxConsecutive) : throw new ArgumentException(
        FormattableString.Invariant($"expected at least 1, got {maxConsecutive}; to allow none use NonFinitePolicy.Throw"), nameof(maxConsecutive));
}

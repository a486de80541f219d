namespace TorchStab;

/// <summary>
/// Gives the weight w of each update: average ← average + w·(weight − average). Created by
/// <c>stab.optim.swa_utils.get_ema_multi_avg_fn</c>, <c>get_swa_multi_avg_fn</c> or <see cref="FromWeights"/>.
/// </summary>
public sealed class AveragingRule
{
    private readonly Func<long, double> _weight;

    private AveragingRule(Func<long, double> weight) => _weight = weight;

    /// <summary>Creates a rule from a function.</summary>
    /// <param name="weight">Computes w, from 0 to 1, from the number n of updates so far. n is at least 1, because the first update copies.</param>
    /// <returns>The rule.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="weight"/> is null.</exception>
    public static AveragingRule FromWeights(Func<long, double> weight)
    {
        ArgumentNullException.ThrowIfNull(weight);
        return new(weight);
    }

    internal static AveragingRule Mean() => new(n => 1.0 / (n + 1));

    internal static AveragingRule Exponential(double decay, double? tau)
    {
        if (!(decay is >= 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(decay), $"Invalid decay value {Repr.Of(decay)} provided. Please provide a value in [0,1] range.");
        if (tau is { } t && !(t > 0 && double.IsFinite(t)))
            throw new ArgumentOutOfRangeException(nameof(tau), $"expected a finite number above 0, got {Repr.Of(t)}");
        return new(n => 1 - (tau is { } ramp ? decay * (1 - Math.Exp(-(n + 1) / ramp)) : decay));
    }

    /// <summary>w of the update that follows n updates.</summary>
    /// <exception cref="InvalidOperationException">The function returned a number outside [0, 1].</exception>
    internal double WeightAfter(long n) => _weight(n) is >= 0 and <= 1 and var weight ? weight
        : throw new InvalidOperationException($"the averaging rule gave {Repr.Of(_weight(n))} after {n} updates; expected a number from 0 to 1");
}

namespace TorchStab.Kernels;

/// <summary>Mean and summed squares of groups of values, merged in double (Chan, Golub, LeVeque 1979).</summary>
internal struct RunningMoments
{
    private double _count, _squares, _lost;

    public double Mean { get; private set; }

    /// <summary>Biased.</summary>
    public readonly double Variance => Math.Max(0, _squares / _count);

    /// <summary>Whether the groups' shifts lay near enough to their means for sums in T; false for NaN.</summary>
    public readonly bool IsSound => _squares >= 0.5 * _lost;

    /// <summary>Takes in a group given by Σ(x − shift) and Σ(x − shift)².</summary>
    public void Add(double count, double shift, double sum, double square)
    {
        double mean = shift + (sum / count), lost = sum * sum / count, delta = mean - Mean, total = _count + count;
        Mean += delta * (count / total);
        _squares += square - lost + (delta * delta * (_count * count / total));
        _lost += lost;
        _count = total;
    }
}

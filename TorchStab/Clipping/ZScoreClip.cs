namespace TorchStab.Clipping;

/// <summary>
/// ZClip: clips a global norm that is an outlier by its z-score to μ + (z*)²σ/z. The running mean and variance are updated with the clipped norm, so
/// that a spike does not raise the threshold.
/// </summary>
internal sealed class ZScoreClip(double alpha, double zThreshold, int warmup, double? maxNorm) : GradientClip
{
    // The authors' two epsilons: one prevents division by σ = 0, the other, as in PyTorch, by a norm of 0.
    private const double SigmaEps = 1e-6, NormEps = 1e-6;
    private List<double> _first = [];
    private double _mean, _variance;
    private bool _warm;
    private double? _last; // the norm to remember if the last decision is accepted

    internal override bool HasMemory => true;

    internal override ClipDecision Decide(GradientSet gradients)
    {
        double norm = gradients.TotalNorm(2);
        _last = null;
        if (!double.IsFinite(norm)) return ClipDecision.Uniform(norm, 1);
        double? threshold = _warm ? Threshold(norm) : null;
        _last = threshold ?? norm;
        double bound = Math.Min(threshold ?? norm, maxNorm ?? double.PositiveInfinity);
        return ClipDecision.Uniform(norm, norm > bound ? bound / (norm + NormEps) : 1);
    }

    internal override void Accept()
    {
        if (_last is { } norm) Remember(norm);
        _last = null;
    }

    internal override void SaveMemory(BinaryWriter writer)
    {
        writer.Write(_warm);
        writer.Write(_mean);
        writer.Write(_variance);
        ClipMemory.Write(writer, _first);
    }

    internal override void LoadMemory(BinaryReader reader)
    {
        var (warm, mean, variance, first) = (reader.ReadBoolean(), ClipMemory.ReadNorm(reader), ClipMemory.ReadNorm(reader), ClipMemory.Read(reader));
        (_warm, _mean, _variance, _first) = (warm, mean, variance, first);
    }

    private double? Threshold(double norm)
    {
        double sigma = Math.Sqrt(_variance), z = (norm - _mean) / (sigma + SigmaEps);
        return z > zThreshold ? _mean + zThreshold * sigma * (zThreshold / z) : null;
    }

    private void Remember(double norm)
    {
        if (_warm)
        {
            _mean = alpha * _mean + (1 - alpha) * norm;
            _variance = alpha * _variance + (1 - alpha) * (norm - _mean) * (norm - _mean);
            return;
        }
        _first.Add(norm);
        if (_first.Count < warmup) return;
        _mean = _first.Average();
        _variance = _first.Average(n => (n - _mean) * (n - _mean));
        _first.Clear();
        _warm = true;
    }
}

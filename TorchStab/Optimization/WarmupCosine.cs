using static TorchSharp.torch.optim;

namespace TorchStab.Modules;

/// <summary>
/// Linear warm-up, then a decay along half a cosine; created by <c>stab.optim.lr_scheduler.WarmupCosine</c>.
/// <inheritdoc cref="WarmupScheduler" path="/summary/node()"/>
/// </summary>
public sealed class WarmupCosine : WarmupScheduler
{
    private readonly long _warmup, _total;
    private readonly double _min;

    internal WarmupCosine(Optimizer optimizer, long warmup_steps, long total_steps, double min_ratio) : base(optimizer)
    {
        _warmup = Steps(warmup_steps, 0, nameof(warmup_steps));
        _total = Steps(total_steps, warmup_steps, nameof(total_steps));
        _min = MinRatio(min_ratio);
        Apply();
    }

    private protected override double Ratio(long k)
    {
        if (k < _warmup) return Warmup(k, _warmup);
        if (k >= _total) return _min;
        double done = (double)(k - _warmup) / (_total - _warmup);
        return _min + ((1 - _min) * 0.5 * (1 + Math.Cos(Math.PI * done)));
    }
}

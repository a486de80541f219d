using static TorchSharp.torch.optim;

namespace TorchStab.Modules;

/// <summary>
/// Linear warm-up, a constant rate, linear decay; created by <c>stab.optim.lr_scheduler.WarmupStableDecay</c>.
/// <inheritdoc cref="WarmupScheduler" path="/summary/node()"/>
/// </summary>
public sealed class WarmupStableDecay : WarmupScheduler
{
    private readonly long _warmup, _stable, _decay;
    private readonly double _min;

    internal WarmupStableDecay(Optimizer optimizer, long warmup_steps, long stable_steps, long decay_steps, double min_ratio) : base(optimizer)
    {
        _warmup = Steps(warmup_steps, 0, nameof(warmup_steps));
        _stable = Steps(stable_steps, 0, nameof(stable_steps));
        _decay = Steps(decay_steps, 0, nameof(decay_steps));
        _min = MinRatio(min_ratio);
        Apply();
    }

    private protected override double Ratio(long k)
    {
        long decayed = k - _warmup - _stable;
        if (decayed < 0) return Warmup(k, _warmup);
        return decayed >= _decay ? _min : 1 - ((1 - _min) * decayed / _decay);
    }
}

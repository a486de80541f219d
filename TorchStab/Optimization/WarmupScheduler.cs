using static TorchSharp.torch.optim;

namespace TorchStab.Modules;

/// <summary>
/// A learning-rate schedule that starts with a linear warm-up and is a function of the step count, so that it can be saved and continues exactly.
/// TorchSharp's schedulers cannot be saved.
/// </summary>
/// <remarks>
/// The rate of each parameter group is its initial rate times a ratio of k, the number of calls of <c>step()</c> so far. The constructor sets
/// the rate of k = 0, which is 0 if there is a warm-up, as in Hugging Face's and optax's schedules. It works with any
/// <c>torch.optim.Optimizer</c>, including TorchStab's, and with any number of groups.
/// </remarks>
public abstract class WarmupScheduler : lr_scheduler.LRScheduler
{
    private const string Count = "last_epoch", BaseRates = "base_lrs.";

    private readonly Optimizer _optimizer;
    private double[] _baseRates;
    private long _count;

    private protected WarmupScheduler(Optimizer optimizer)
        : base(optimizer ?? throw new ArgumentNullException(nameof(optimizer)))
    {
        _optimizer = optimizer;
        _baseRates = [.. optimizer.ParamGroups.Select(group => group.InitialLearningRate)];
    }

    /// <summary>k, the number of steps that the schedule has counted.</summary>
    public long StepCount => _count;

    /// <summary>
    /// Whether an optimizer step that a policy skipped (<c>LastStep.Skipped</c> of TorchStab's optimizers) counts too. Default true. With false
    /// such a step does not change the rate and the count.
    /// </summary>
    public bool CountSkippedSteps { get; set; } = true;

    /// <summary>The ratio of the rate to the initial one at step <paramref name="k"/>.</summary>
    private protected abstract double Ratio(long k);

    /// <summary>Counts a step and sets the learning rates. Call it after each step of the optimizer.</summary>
    public override void step()
    {
        if (!CountSkippedSteps && _optimizer is IClippedStep { LastStep.Skipped: true }) return;
        _count++;
        Apply();
    }

    /// <summary>Sets the learning rates of step <paramref name="epoch"/>.</summary>
    /// <param name="epoch">The new step count, at least 0; null: the next one.</param>
    /// <exception cref="ArgumentOutOfRangeException">The step is negative.</exception>
    public override void step(int? epoch)
    {
        if (epoch is not { } k)
        {
            step();
            return;
        }
        ArgumentOutOfRangeException.ThrowIfNegative(k, nameof(epoch));
        _count = k;
        Apply();
    }

    /// <summary>The state from which the schedule continues: the step count, and the initial rate of each group.</summary>
    /// <returns>
    /// <c>last_epoch</c>, PyTorch's name of the count, and <c>base_lrs.0</c>, <c>base_lrs.1</c>, … The arguments of the constructor are not included.
    /// </returns>
    public IReadOnlyDictionary<string, double> state_dict()
    {
        var state = new Dictionary<string, double> { [Count] = _count };
        for (int i = 0; i < _baseRates.Length; i++) state[$"{BaseRates}{i}"] = _baseRates[i];
        return state;
    }

    /// <summary>Restores the count and the rates that <see cref="state_dict"/> returned.</summary>
    /// <param name="state_dict">The state of a schedule with the same number of groups.</param>
    /// <exception cref="ArgumentNullException"><paramref name="state_dict"/> is null.</exception>
    /// <exception cref="ArgumentException">
    /// A key is missing or unexpected, the count is not a whole number of at least 0, or a rate is negative or not finite. Nothing is changed then.
    /// </exception>
    public void load_state_dict(IReadOnlyDictionary<string, double> state_dict)
    {
        ArgumentNullException.ThrowIfNull(state_dict);
        string[] expected = [Count, .. Enumerable.Range(0, _baseRates.Length).Select(i => $"{BaseRates}{i}")];
        if (!state_dict.Keys.ToHashSet().SetEquals(expected))
            throw new ArgumentException($"expected the keys {string.Join(", ", expected)} (one base_lrs entry for each parameter group), got "
                + $"{string.Join(", ", state_dict.Keys)}", nameof(state_dict));
        double count = state_dict[Count];
        if (!(count >= 0 && count <= int.MaxValue && Math.Floor(count) == count))
            throw new ArgumentException(FormattableString.Invariant($"expected {Count} to be a whole number from 0 to {int.MaxValue}, got {count}"),
                nameof(state_dict));
        double[] rates = [.. expected[1..].Select(key => state_dict[key])];
        int bad = Array.FindIndex(rates, rate => !(rate >= 0 && double.IsFinite(rate)));
        if (bad >= 0)
            throw new ArgumentException(FormattableString.Invariant($"expected {BaseRates}{bad} to be a finite rate of at least 0, got {rates[bad]}"),
                nameof(state_dict));
        (_count, _baseRates) = ((long)count, rates);
        Apply();
    }

    /// <inheritdoc/>
    protected override IEnumerable<double> get_lr() => _baseRates.Select(rate => rate * Ratio(_count));

    /// <summary>Sets the rates of the current count. The constructors of the schedules call it last.</summary>
    private protected void Apply() => base.step((int)Math.Min(_count, int.MaxValue));

    /// <summary>The completed fraction of the warm-up, from 0 to 1.</summary>
    private protected static double Warmup(long k, long steps) => k < steps ? (double)k / steps : 1;

    /// <summary>Checks a number of steps.</summary>
    private protected static long Steps(long steps, long least, string name) => steps >= least ? steps
        : throw new ArgumentOutOfRangeException(name, steps, $"expected at least {least} steps");

    /// <summary>Checks the ratio of the smallest rate to the initial one.</summary>
    private protected static double MinRatio(double min_ratio) => min_ratio is >= 0 and <= 1 ? min_ratio
        : throw new ArgumentOutOfRangeException(nameof(min_ratio), min_ratio, "expected a ratio from 0 to 1");
}

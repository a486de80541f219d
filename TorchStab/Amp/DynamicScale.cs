namespace TorchStab.Amp;

/// <summary>
/// A loss scale s and its rule: s·backoff after an overflow, s·growth after a number of steps without one. It is a float32 number as in PyTorch,
/// so that both have the same sequence of scales.
/// </summary>
/// <param name="Value">The scale s.</param>
/// <param name="Growth">The growth factor, above 1.</param>
/// <param name="Backoff">The backoff factor, between 0 and 1.</param>
/// <param name="Interval">The number of steps without an overflow after which s grows.</param>
/// <param name="Tracker">The number of steps without an overflow since s last changed.</param>
internal readonly record struct DynamicScale(float Value, double Growth, double Backoff, long Interval, long Tracker)
{
    /// <summary>The smallest scale whose inverse is a finite float32 number.</summary>
    private const float Smallest = 1.17549435e-38f;

    private static readonly string[] Keys = ["scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker"];

    /// <summary>Whether the scale cannot become smaller. If gradients are still not finite, the scale is not the cause.</summary>
    public bool IsSmallest => Value <= Smallest;

    /// <summary>Creates a scale from the result of <see cref="Save"/>.</summary>
    /// <exception cref="ArgumentException">A key is missing or unexpected, or a value is outside its range.</exception>
    public static DynamicScale Load(IReadOnlyDictionary<string, double> state, string argument)
    {
        if (!state.Keys.ToHashSet().SetEquals(Keys))
            throw new ArgumentException($"expected the keys {string.Join(", ", Keys)}, got {string.Join(", ", state.Keys)}", argument);
        foreach (string key in Keys[3..])
            if (!(state[key] is >= 0 and < 1L << 53 && Math.Floor(state[key]) == state[key]))
                throw new ArgumentException(FormattableString.Invariant($"expected {key} to be a whole number of at least 0, got {state[key]}"), argument);
        return new DynamicScale((float)state[Keys[0]], state[Keys[1]], state[Keys[2]], (long)state[Keys[3]], (long)state[Keys[4]]).Checked(argument);
    }

    /// <summary>The state under PyTorch's keys.</summary>
    public Dictionary<string, double> Save() => new() { [Keys[0]] = Value, [Keys[1]] = Growth, [Keys[2]] = Backoff, [Keys[3]] = Interval, [Keys[4]] = Tracker };

    /// <summary>
    /// The scale of the next step. Products are computed in double and rounded once, as in PyTorch; a product out of float32's range does not change the
    /// scale.
    /// </summary>
    public DynamicScale After(bool overflow)
    {
        if (overflow) return this with { Value = Math.Max((float)(Value * Backoff), Smallest), Tracker = 0 };
        if (Tracker + 1 < Interval) return this with { Tracker = Tracker + 1 };
        float grown = (float)(Value * Growth);
        return this with { Value = float.IsFinite(grown) ? grown : Value, Tracker = 0 };
    }

    /// <summary>Returns this scale if all numbers are in range.</summary>
    /// <param name="argument">The argument that errors name; null: each number's own argument.</param>
    /// <exception cref="ArgumentException">A number is out of range.</exception>
    public DynamicScale Checked(string? argument) => WhyNot() is { } fault ? throw new ArgumentException(fault.Why, argument ?? fault.Argument) : this;

    private (string Argument, string Why)? WhyNot() =>
        !(Value >= Smallest && float.IsFinite(Value))
            ? ("init_scale", FormattableString.Invariant($"expected a scale from {Smallest} to {float.MaxValue}, which float32 holds, got {Value}"))
        : !(Growth > 1 && double.IsFinite(Growth)) ? ("growth_factor", FormattableString.Invariant($"The growth factor must be > 1.0., got {Growth}"))
        : !(Backoff is > 0 and < 1) ? ("backoff_factor", FormattableString.Invariant($"The backoff factor must be < 1.0., and above 0, got {Backoff}"))
        : Interval < 1 ? ("growth_interval", FormattableString.Invariant($"expected a growth interval of at least 1, got {Interval}"))
        : null;
}

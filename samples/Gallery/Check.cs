using System.Globalization;

namespace Gallery;

/// <summary>What the numbers say to a statement.</summary>
internal enum Answer
{
    /// <summary>The interval lies wholly where the statement says.</summary>
    Yes,

    /// <summary>It lies wholly on the other side: the statement is contradicted.</summary>
    No,

    /// <summary>It lies on both: these runs do not tell.</summary>
    Undecided,
}

/// <summary>
/// One part of a claim: what should be, whether it is, and the numbers that say so. Runs with the same seed share their images, their order and
/// their random numbers as far as they can, so they are compared in pairs: what counts is the interval of the mean difference, not the spread of
/// each side.
/// </summary>
internal sealed record Check(string Statement, Answer Answer, string Evidence)
{
    /// <summary>Whether <paramref name="more"/> is above <paramref name="less"/>. The evidence names <paramref name="more"/> first, so let the statement do so
    /// too.</summary>
    public static Check Above(string statement, Measured more, Measured less)
    {
        var difference = more.Minus(less);
        return new Check(statement, Side(difference.Interval, 0), $"{more} against {less}; {difference.Differs}");
    }

    /// <summary>Whether <paramref name="value"/> is above a bound that was known before.</summary>
    public static Check Beyond(string statement, Measured value, double bound) => new(statement, Side(value.Interval, bound), $"{value}; {value.Ranges}");

    /// <summary>Whether <paramref name="value"/> is below a bound that was known before.</summary>
    public static Check Under(string statement, Measured value, double bound) =>
        new(statement, Opposite(Side(value.Interval, bound)), $"{value}; {value.Ranges}");

    /// <summary>Whether both are the same, which needs a margin: how far apart still counts as the same.</summary>
    public static Check Same(string statement, Measured one, Measured other, double margin)
    {
        var difference = one.Minus(other);
        return new Check(statement, Within(difference.Interval, margin), $"{one} against {other}; {difference.Differs}; margin {one.Write(margin)}");
    }

    /// <summary>Whether <paramref name="value"/> is nearer than <paramref name="margin"/> to what was known before.</summary>
    public static Check Near(string statement, Measured value, double target, double margin) =>
        new(statement, Within(value.Map(v => v - target).Interval, margin), $"{value}; {value.Ranges}; margin {value.Write(margin)}");

    /// <summary>Whether <paramref name="more"/> is over <paramref name="times"/> times <paramref name="less"/>; both positive. Decided on logarithms.</summary>
    public static Check Times(string statement, Measured more, Measured less, double times = 1) =>
        new(statement, Side(more.Over(less).Map(Math.Log).Interval, Math.Log(times)), Ratio(more, less));

    /// <summary>Whether the ratio of both is nearer to 1 than <paramref name="margin"/> (0.02: from 1/1.02 to 1.02).</summary>
    public static Check SameRatio(string statement, Measured one, Measured other, double margin) =>
        new(statement, Within(one.Over(other).Map(Math.Log).Interval, Math.Log(1 + margin)), $"{Ratio(one, other)}; margin "
            + $"{margin.ToString("0 %", CultureInfo.InvariantCulture)}");

    /// <summary>What has no chance in it.</summary>
    public static Check Fact(string statement, bool holds, string evidence) => new(statement, holds ? Answer.Yes : Answer.No, evidence);

    private static string Ratio(Measured one, Measured other)
    {
        var ratio = one.Over(other);
        var logs = ratio.Map(Math.Log).Interval;
        string Write(double value) => value.ToString(value < 100 ? "0.000" : "0.0e+0", CultureInfo.InvariantCulture);
        return $"ratio {Write(Math.Exp(ratio.Map(Math.Log).Mean))}" + (logs is null ? "" : $" (95 %: {Write(Math.Exp(logs.Low))} to "
            + $"{Write(Math.Exp(logs.High))})");
    }

    private static Answer Side(Interval? interval, double bound)
    {
        if (interval is null) return Answer.Undecided;
        if (interval.Low > bound) return Answer.Yes;
        return interval.High < bound ? Answer.No : Answer.Undecided;
    }

    private static Answer Within(Interval? interval, double margin)
    {
        if (interval is null) return Answer.Undecided;
        if (interval.Low > -margin && interval.High < margin) return Answer.Yes;
        return interval.Low > margin || interval.High < -margin ? Answer.No : Answer.Undecided;
    }

    private static Answer Opposite(Answer answer) => answer switch { Answer.Yes => Answer.No, Answer.No => Answer.Yes, _ => answer };
}

using System.Globalization;

namespace Gallery;

/// <summary>A number that was measured once for each seed.</summary>
/// <param name="Values">One value a seed; NaN where it was lost, infinite where a run never got there.</param>
/// <param name="Format">How it is written: a .NET format of numbers.</param>
internal sealed record Measured(IReadOnlyList<double> Values, string Format = "0.000")
{
    /// <summary>A number that is known and not measured: a prediction, a count.</summary>
    public static Measured Exact(double value, string format = "0.###") => new([value], format);

    public double Mean => Values.Average();

    /// <summary>The sample's standard deviation over the seeds, with n − 1; 0 for one seed.</summary>
    public double Deviation => Values.Count < 2 ? 0 : Math.Sqrt(Values.Sum(v => Math.Pow(v - Mean, 2)) / (Values.Count - 1));

    /// <summary>Where the mean lies; null: cannot be told.</summary>
    public Interval? Interval => Interval.Of(Values);

    /// <summary>“mean ± deviation”; where a value is not finite, in how many seeds.</summary>
    public string Text
    {
        get
        {
            var odd = Values.Where(v => !double.IsFinite(v)).ToArray();
            if (odd.Length > 0) return (double.IsNaN(odd[0]) ? "NaN" : "∞") + (Values.Count == 1 ? "" : $" in {odd.Length} of {Values.Count}");
            return Values.Count == 1 ? Write(Mean) : $"{Write(Mean)} ± {Write(Deviation)}";
        }
    }

    /// <summary>“95 %: low to high” of the mean.</summary>
    public string Ranges => Interval is { } i ? $"{Interval.Level:0 %}: {Write(i.Low)} to {Write(i.High)}" : "no interval";

    /// <summary>The same for a difference of two.</summary>
    public string Differs => Interval is null ? "no interval of the difference" : $"difference {Write(Mean)} ({Ranges})";

    /// <summary>Seed by seed.</summary>
    public Measured Minus(Measured other) => this with { Values = [.. Values.Zip(other.Values, (a, b) => a - b)] };

    /// <inheritdoc cref="Minus"/>
    public Measured Plus(Measured other) => this with { Values = [.. Values.Zip(other.Values, (a, b) => a + b)] };

    /// <inheritdoc cref="Minus"/>
    public Measured Over(Measured other) => this with { Values = [.. Values.Zip(other.Values, (a, b) => a / b)] };

    public Measured Map(Func<double, double> function) => this with { Values = [.. Values.Select(function)] };

    public string Write(double value) => value.ToString(Format, CultureInfo.InvariantCulture);

    public override string ToString() => Text;
}

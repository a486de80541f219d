using System.Globalization;

namespace Gallery;

/// <summary>A number that was measured once for each seed.</summary>
/// <param name="Values">One value a seed; NaN where it was lost, infinite where a run never got there.</param>
/// <param name="Format">How it is written: a .NET format of numbers.</param>
internal sealed record Measured(IReadOnlyList<double> Values, string Format = "0.000")
{
    /// <summary>The same quantity of every run.</summary>
    public static Measured Of<TRun>(IEnumerable<TRun> runs, Func<TRun, double> value, string format = "0.000") => new([.. runs.Select(value)], format);

    /// <summary>A number that is known and not measured: a prediction, a count.</summary>
    public static Measured Exact(double value, string format = "0.###") => new([value], format);

    public double Mean => Values.Average();

    /// <summary>The sample's standard deviation over the seeds, with n − 1; 0 for one seed.</summary>
    public double Deviation => Values.Count < 2 ? 0 : Math.Sqrt(Values.Sum(v => Math.Pow(v - Mean, 2)) / (Values.Count - 1));

    public double Least => Values.Min();

    public double Most => Values.Max();

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

    public override string ToString() => Text;

    private string Write(double value) => value.ToString(Format, CultureInfo.InvariantCulture);
}

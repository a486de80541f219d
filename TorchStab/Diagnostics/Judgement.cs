using System.Globalization;

namespace TorchStab.Diagnostics;

/// <summary>What both judges share: medians, texts, and the way from findings to a diagnosis.</summary>
internal static class Judgement
{
    /// <summary>The median of what is a number; NaN of nothing.</summary>
    public static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Where(v => !double.IsNaN(v)).Order()];
        return sorted.Length == 0 ? double.NaN : sorted[sorted.Length / 2];
    }

    public static string Number(double value) => value.ToString(Math.Abs(value) is >= 0.01 and < 1000 ? "0.###" : "0.#e+0", CultureInfo.InvariantCulture);

    public static string Share(double value) => value.ToString("0.# %", CultureInfo.InvariantCulture);

    /// <summary>A verdict on the layer at <paramref name="index"/> of <paramref name="count"/>.</summary>
    public static Verdict Pass(VerdictKind kind, string layer, int index, int count, string evidence, string remedy, double value) => new()
    {
        Kind = kind,
        Layer = layer,
        Evidence = $"layer {index + 1} of {count} ({layer}): {evidence}",
        Remedy = remedy,
        Value = value,
    };

    /// <summary>The gravest kind of all; of that kind <paramref name="worst"/> tells how bad each is.</summary>
    public static Diagnosis Diagnose(IReadOnlyList<Verdict> layers, Func<Verdict, double> worst)
    {
        if (layers.All(v => v.Kind == VerdictKind.Healthy))
        {
            string evidence = layers.Count == 0 ? "nothing recorded yet" : $"{layers.Count} layers looked at";
            return new() { Model = new() { Kind = VerdictKind.Healthy, Layer = "", Evidence = evidence }, Layers = layers };
        }
        var kind = layers.Min(v => v.Kind);
        return new() { Model = layers.Where(v => v.Kind == kind).MaxBy(worst)!, Layers = layers };
    }
}

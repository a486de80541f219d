using System.Globalization;
using TorchStab.Initialization;

namespace TorchStab.Diagnostics;

/// <summary>Shared by both judges: medians, number formats, and the step from verdicts to a diagnosis.</summary>
internal static class Judgement
{
    /// <summary>The median of the values that are not NaN; NaN if there are none.</summary>
    public static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Where(v => !double.IsNaN(v)).Order()];
        return sorted.Length == 0 ? double.NaN : sorted[sorted.Length / 2];
    }

    public static string Number(double value) => value.ToString(Math.Abs(value) is >= 0.01 and < 1000 ? "0.###" : "0.#e+0", CultureInfo.InvariantCulture);

    public static string Share(double value) => value.ToString("0.# %", CultureInfo.InvariantCulture);

    /// <summary>A verdict on the layer at <paramref name="index"/> of <paramref name="count"/>.</summary>
    public static Verdict Pass(VerdictKind kind, string layer, int index, int count, string evidence, string remedy, double value, string cause = "") => new()
    {
        Kind = kind,
        Layer = layer,
        Evidence = $"layer {index + 1} of {count} ({layer}): {evidence}",
        Remedy = remedy,
        Value = value,
        Cause = cause,
    };

    public static Verdict NotRegistered(UnregisteredModule module) => new()
    {
        Kind = VerdictKind.NotRegistered,
        Layer = module.Name,
        Evidence = module.Evidence,
        Remedy = UnregisteredModule.WayOut,
    };

    /// <summary>
    /// Makes one finding of all verdicts of one kind and cause: the one with the largest <paramref name="severity"/>, which lists the others.
    /// </summary>
    public static Diagnosis Diagnose(IReadOnlyList<Verdict> layers, Func<Verdict, double> severity)
    {
        List<Verdict> findings =
        [
            .. from verdict in layers
               where verdict.Kind != VerdictKind.Healthy
               group verdict by (verdict.Kind, verdict.Cause) into verdicts
               let worst = verdicts.MaxBy(severity)
               orderby Rank(verdicts.Key.Kind), severity(worst) descending
               select worst with { Also = [.. verdicts.Where(v => !ReferenceEquals(v, worst)).Select(v => v.Layer)] }
        ];
        var model = findings.FirstOrDefault() ?? new() { Kind = VerdictKind.Healthy, Layer = "", Evidence = $"{layers.Count} layers examined" };
        return new() { Model = model, Layers = layers, Findings = findings };
    }

    // The order of the enumeration, in which a kind that was added later has its place here.
    private static double Rank(VerdictKind kind) => kind == VerdictKind.LargeLogits ? (double)VerdictKind.Saturated + 0.5 : (double)kind;
}

using static TorchSharp.torch;
using static TorchStab.Diagnostics.Judgement;

namespace TorchStab.Diagnostics;

/// <summary>Passes a verdict on each layer from the latest reports.</summary>
internal sealed class GradientJudge
{
    private readonly VerdictThresholds _thresholds;
    private readonly LayerContext _context;
    private readonly List<GradientReport> _latest;
    private readonly IReadOnlyList<GradientRecord> _layers;
    private readonly int _reference;
    private readonly int _culprit;

    private GradientJudge(nn.Module model, List<GradientReport> history, VerdictThresholds thresholds)
    {
        (_thresholds, _context) = (thresholds, new(model, history[0]));
        // A NaN stays in the verdict for as long as it is in the history, with the report in which it came.
        var bad = history.Find(r => r.Layers.Any(IsBad));
        _latest = bad is null ? history[^Math.Min(history.Count, thresholds.Samples)..] : [bad];
        _layers = _latest[^1].Layers;
        _latest.RemoveAll(r => !r.Layers.Select(l => l.Layer).SequenceEqual(_layers.Select(l => l.Layer))); // before a swap: other layers
        _reference = Last(l => l.Maps && l.Norm != 0) is var maps and >= 0 ? maps : Last(l => l.Norm != 0);
        _culprit = bad is null ? -1 : Culprit();
    }

    public static Diagnosis Run(nn.Module model, List<GradientReport> history, VerdictThresholds thresholds)
    {
        if (history.Count == 0) return Diagnose([], _ => 0);
        var judge = new GradientJudge(model, history, thresholds);
        var verdicts = Enumerable.Range(0, judge._layers.Count).Select(judge.Judge).ToList();
        return Diagnose(verdicts, v => v.Kind == VerdictKind.NonFinite ? (v.Layer == judge._layers[judge._culprit].Layer ? 1 : 0)
            : v.Kind == VerdictKind.NotConnected ? 0 : Math.Abs(Math.Log(v.Value)));
    }

    private Verdict Judge(int i)
    {
        var layer = _layers[i];
        if (IsBad(layer)) return NonFinite(i);
        if (layer.NotConnected.Count > 0)
            return Of(VerdictKind.NotConnected, i, $"no gradient for {string.Join(", ", layer.NotConnected)}", Remedies.NotConnected);
        double ofLast = Median(_latest.Select(r => r.Layers[i].Norm / r.Layers[Math.Max(0, _reference)].Norm));
        double ofWeights = Median(_latest.Select(r => r.Layers[i].Norm / Total(r)));
        double update = Median(_latest.Select(r => r.Layers[i].UpdateRatio ?? double.NaN));
        if (ofWeights > _thresholds.ExplodingToWeights)
            return Of(VerdictKind.Exploding, i, $"gradient {Number(ofWeights)} times the norm of all weights", Remedies.Exploding(_context, layer.Layer), ofWeights);
        if (ofLast > _thresholds.ExplodingRatio)
            return Of(VerdictKind.Exploding, i, $"gradient {Number(ofLast)} times the last layer's", Remedies.Exploding(_context, layer.Layer), ofLast);
        if (Median(_latest.Select(r => r.Layers[i].Norm)) == 0)
            return Of(VerdictKind.Vanishing, i, "gradient exactly zero", Remedies.Vanishing(_context, layer.Layer), 0);
        if (ofLast < _thresholds.VanishingRatio)
            return Of(VerdictKind.Vanishing, i, $"gradient {Number(ofLast)} of the last layer's", Remedies.Vanishing(_context, layer.Layer), ofLast);
        return Update(i, update);
    }

    private Verdict Update(int i, double update)
    {
        if (update > _thresholds.LargestUpdate && double.IsFinite(update))
            return Of(VerdictKind.UpdateTooLarge, i, $"a step changes it by {Share(update)} of its norm", Remedies.UpdateTooLarge, update);
        if (update < _thresholds.SmallestUpdate)
            return Of(VerdictKind.UpdateTooSmall, i, $"a step changes it by {Number(update)} of its norm", Remedies.UpdateTooSmall, update);
        return Of(VerdictKind.Healthy, i, $"gradient norm {Number(_layers[i].Norm)}", "");
    }

    private Verdict NonFinite(int i)
    {
        var layer = _layers[i];
        bool weights = !double.IsFinite(layer.WeightNorm);
        string what = weights ? "weights are not finite" : $"{Share(layer.NonFiniteShare)} of the gradient is not finite";
        string remedy = i != _culprit ? Remedies.Follows(_layers[_culprit].Layer)
            : weights ? Remedies.BadWeights
            : i == Last(_ => true) ? Remedies.BadLoss
            : Remedies.BadGradient;
        return Of(VerdictKind.NonFinite, i, $"{what} in step {_latest[^1].Step}", remedy, layer.NonFiniteShare);
    }

    /// <summary>Bad weights come before bad gradients, and spread forwards; a bad gradient spreads backwards.</summary>
    private int Culprit()
    {
        int weights = _layers.ToList().FindIndex(l => !double.IsFinite(l.WeightNorm));
        return weights >= 0 ? weights : Last(IsBad);
    }

    private int Last(Predicate<GradientRecord> match) => _layers.ToList().FindLastIndex(match);

    private Verdict Of(VerdictKind kind, int i, string evidence, string remedy, double value = double.NaN) =>
        Pass(kind, _layers[i].Layer, i, _layers.Count, evidence, remedy, value);

    private static bool IsBad(GradientRecord layer) => !double.IsFinite(layer.Norm) || !double.IsFinite(layer.WeightNorm);

    private static double Total(GradientReport report) => Math.Sqrt(report.Layers.Sum(l => l.WeightNorm * l.WeightNorm));
}

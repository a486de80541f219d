using TorchStab.Initialization;
using static TorchStab.Diagnostics.Judgement;

namespace TorchStab.Diagnostics;

/// <summary>Gives a verdict on the outputs of each layer from the latest activation reports.</summary>
internal sealed class ActivationJudge
{
    private readonly VerdictThresholds _thresholds;
    private readonly List<ActivationReport> _latest;
    private readonly IReadOnlyList<ActivationRecord> _layers;
    private readonly string? _culprit;

    private ActivationJudge(List<ActivationReport> history, VerdictThresholds thresholds)
    {
        _thresholds = thresholds;
        // The latest pass may not be complete, so the layers are those of the report with the most of them.
        var nonFinite = history.Find(r => r.Layers.Any(l => l.NonFiniteShare > 0));
        _latest = nonFinite is null ? history[^Math.Min(history.Count, thresholds.Samples)..] : [nonFinite];
        _layers = _latest.MaxBy(r => r.Layers.Count)!.Layers;
        _culprit = nonFinite?.Layers.First(l => l.NonFiniteShare > 0).Layer;
    }

    /// <param name="history">The reports, oldest first.</param>
    /// <param name="thresholds">The limits beyond which a layer is reported.</param>
    /// <param name="unseen">Layers whose hooks have not run so far.</param>
    /// <param name="unregistered">Modules without a hook, because the model does not register them.</param>
    public static Diagnosis Run(
        List<ActivationReport> history, VerdictThresholds thresholds, IReadOnlyCollection<string> unseen, List<UnregisteredModule> unregistered)
    {
        var judge = history.Exists(r => r.Layers.Count > 0) ? new ActivationJudge(history, thresholds) : null;
        List<Verdict> verdicts = judge is null ? [] : [.. judge._layers.Select((_, i) => judge.Judge(i))];
        int seen = verdicts.Count;
        verdicts.AddRange(unseen.Select(layer => NotSeen(layer, seen, seen + unseen.Count)));
        if (verdicts.Count == 0) verdicts.Add(NotSeen("", 0, 0));
        verdicts.AddRange(unregistered.Select(NotRegistered));
        return Diagnose(verdicts, v => v.Kind == VerdictKind.NonFinite ? (v.Layer == judge!._culprit ? 1 : 0) : v.Value);
    }

    private static Verdict NotSeen(string layer, int seen, int all) => new()
    {
        Kind = VerdictKind.NotSeen,
        Layer = layer,
        Evidence = seen == 0 ? "nothing was seen" : $"{seen} of {all} layers were seen, {layer} was not",
        Remedy = Remedies.NotSeen,
    };

    private Verdict Judge(int i)
    {
        var layer = _layers[i];
        if (layer.NonFiniteShare > 0)
        {
            string remedy = layer.Layer == _culprit ? Remedies.BadActivation : Remedies.Follows(_culprit!);
            string evidence = $"{Share(layer.NonFiniteShare)} of the output is not finite in call {_latest[0].Call}";
            return Of(VerdictKind.NonFinite, i, evidence, remedy, layer.NonFiniteShare);
        }
        bool normalized = i > 0 && _layers[i - 1].Normalizes;
        double dead = OverLatest(layer.Layer, l => l.Rows >= _thresholds.DeadRows ? l.DeadShare : null);
        double saturated = OverLatest(layer.Layer, l => l.SaturatedShare);
        if (dead > _thresholds.DeadShare)
            return Of(VerdictKind.Dead, i, $"{Share(dead)} of its units are zero for the whole batch", Remedies.Dead(normalized), dead);
        // A saturated output layer is confident, not broken: it is not reported.
        if (saturated > _thresholds.SaturatedShare && i < _layers.Count - 1)
            return Of(VerdictKind.Saturated, i, $"{Share(saturated)} of its output is in the function's flat ends", Remedies.Saturated(normalized), saturated);
        double largest = OverLatest(layer.Layer, l => l.LargestMagnitude);
        if (largest > _thresholds.LargestLogit)
            return Of(VerdictKind.LargeLogits, i, $"logits beyond {Number(_thresholds.LargestLogit)}: the largest is {Number(largest)}",
                Remedies.LargeLogits, largest);
        return Of(VerdictKind.Healthy, i, $"mean {Number(layer.Mean)}, deviation {Number(layer.Std)}", "", double.NaN);
    }

    private double OverLatest(string layer, Func<ActivationRecord, double?> measure) =>
        Median(_latest.Select(r => r.Layers.FirstOrDefault(l => l.Layer == layer)).Select(l => (l is null ? null : measure(l)) ?? double.NaN));

    private Verdict Of(VerdictKind kind, int i, string evidence, string remedy, double value) =>
        Pass(kind, _layers[i].Layer, i, _layers.Count, evidence, remedy, value);
}

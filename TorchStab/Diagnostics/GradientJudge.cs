using TorchStab.Initialization;
using static TorchSharp.torch;
using static TorchStab.Diagnostics.Judgement;

namespace TorchStab.Diagnostics;

/// <summary>Gives a verdict on the gradients and updates of each layer from the latest gradient reports.</summary>
internal sealed class GradientJudge
{
    private readonly VerdictThresholds _thresholds;
    private readonly LayerContext _context;
    private readonly GradientReport _first;
    private readonly HashSet<(string Layer, string Name)> _stepped;
    private readonly List<GradientReport> _latest;
    private readonly IReadOnlyList<GradientRecord> _layers;
    private readonly int _reference;
    private readonly int _culprit;

    /// <summary>The first watched gradient of the backward pass that is not finite, and the name of the one before it; null if there is none.</summary>
    private readonly (WatchedGradient NonFinite, string Before)? _watched;

    private GradientJudge(nn.Module model, List<GradientReport> history, VerdictThresholds thresholds, SteppedOptimizers optimizers)
    {
        (_thresholds, _context, _first) = (thresholds, new(model, history[0], optimizers.Clip), history[0]);
        _stepped = optimizers.Stepped(model);
        // The verdict reports a NaN as long as the history holds it, from the report in which it occurred first.
        var nonFinite = history.Find(r => r.Layers.Any(IsNonFinite) || r.Watched.Any(w => w.NonFiniteShare > 0));
        _latest = nonFinite is null ? history[^Math.Min(history.Count, thresholds.Samples)..] : [nonFinite];
        _layers = _latest[^1].Layers;
        // Reports from before a swap or a folding have other layers.
        _latest.RemoveAll(r => !r.Layers.Select(l => l.Layer).SequenceEqual(_layers.Select(l => l.Layer)));
        _reference = Reference();
        _culprit = nonFinite is null ? -1 : Culprit();
        if (nonFinite is null || (_culprit >= 0 && !double.IsFinite(_layers[_culprit].WeightNorm))) return;
        int first = nonFinite.Watched.ToList().FindIndex(w => w.NonFiniteShare > 0);
        if (first >= 0) _watched = (nonFinite.Watched[first], first > 0 ? nonFinite.Watched[first - 1].Name : "the loss");
    }

    public static Diagnosis Run(nn.Module model, List<GradientReport> history, VerdictThresholds thresholds, SteppedOptimizers optimizers)
    {
        var unregistered = UnregisteredModules.Of(model).ConvertAll(NotRegistered);
        if (history.Count == 0) return Diagnose([Unseen, .. unregistered], _ => 0);
        var judge = new GradientJudge(model, history, thresholds, optimizers);
        List<Verdict> verdicts = [.. Enumerable.Range(0, judge._layers.Count).Select(judge.Judge), .. judge.Inside(), .. unregistered];
        return Diagnose(verdicts, v => v.Kind == VerdictKind.NonFinite ? (v.Layer == judge.Origin ? 1 : 0)
            : v.Kind == VerdictKind.NotConnected ? 0 : Math.Abs(Math.Log(v.Value)));
    }

    private static Verdict Unseen => new() { Kind = VerdictKind.NotSeen, Layer = "", Evidence = "nothing was recorded", Remedy = Remedies.NotRecorded };

    /// <summary>Where the first non-finite value arose.</summary>
    private string Origin => _watched?.NonFinite.Name ?? _layers[_culprit].Layer;

    /// <summary>The verdict on a watched tensor.</summary>
    private IEnumerable<Verdict> Inside()
    {
        if (_watched is not var (gradient, before)) yield break;
        yield return new()
        {
            Kind = VerdictKind.NonFinite,
            Layer = gradient.Name,
            Evidence = $"{gradient.Name}: {Share(gradient.NonFiniteShare)} of its gradient is not finite in step {_latest[^1].Step}, the first of the backward "
                + $"pass: it arose between {before} and {gradient.Name}",
            Remedy = Remedies.BadGradient(_context),
            Value = gradient.NonFiniteShare,
        };
    }

    private Verdict Judge(int i)
    {
        var layer = _layers[i];
        if (IsNonFinite(layer)) return NonFinite(i);
        if (layer.NotConnected.Count > 0)
            return Of(VerdictKind.NotConnected, i, $"no gradient for {string.Join(", ", layer.NotConnected)}", Remedies.NotConnected);
        double ofLast = Median(_latest.Select(r => r.Layers[i].Norm / r.Layers[Math.Max(0, _reference)].Norm));
        double ofWeights = Median(_latest.Select(r => r.Layers[i].Norm / Total(r)));
        if (ofWeights > _thresholds.ExplodingToWeights) return Exploding(i, $"gradient {Number(ofWeights)} times the norm of all weights", ofWeights);
        // A gradient that is smaller than the layer's own weights does no harm, even if another layer's gradient is much smaller.
        if (ofLast > _thresholds.ExplodingRatio && Median(_latest.Select(r => r.Layers[i].Norm / Size(r.Layers[i]))) > 1)
            return Exploding(i, $"gradient {Number(ofLast)} times the last layer's", ofLast);
        bool zero = Median(_latest.Select(r => r.Layers[i].Norm)) == 0;
        return zero || (ofLast < _thresholds.VanishingRatio && i < _reference) ? Vanishing(i, zero ? 0 : ofLast) : Update(i);
    }

    private Verdict Exploding(int i, string evidence, double value) =>
        Of(VerdictKind.Exploding, i, evidence, Remedies.Exploding(_context, _layers[i].Layer), value);

    private Verdict Vanishing(int i, double ofLast)
    {
        string evidence = ofLast == 0 ? "gradient exactly zero" : $"gradient {Number(ofLast)} of the last layer's";
        // A later layer that starts at zero passes no gradient back until it has learned; then the layers before it start to learn.
        int learning = Last(i, l => StartsAtZero(l) && l.GainNorm > 0);
        if (learning >= 0) return Of(VerdictKind.Healthy, i, $"{evidence} so far, since {_layers[learning].Layer} started at zero", "");
        int blocking = ofLast == 0 ? Last(i, l => l.Gain == 0) : -1;
        return blocking >= 0
            ? Of(VerdictKind.Vanishing, i, evidence, Remedies.BlockedBy(_layers[blocking].Layer), 0, _layers[blocking].Layer)
            : Of(VerdictKind.Vanishing, i, evidence, Remedies.Vanishing(_context, _layers[i].Layer), ofLast);
    }

    private Verdict Update(int i)
    {
        var layer = _layers[i];
        var steps = _latest.Where(r => r.Stepped == true).Select(r => r.Layers[i]).ToList();
        string[] notStepped = [.. layer.NotStepped.Where(name => !_stepped.Contains((layer.Layer, name)))];
        if (notStepped.Length > 0)
            return TooSmall(i, $"no optimizer that stepped has {string.Join(", ", notStepped)}", Remedies.NotStepped, nameof(Remedies.NotStepped));
        if (steps.Count == 0 && _latest.Count(r => r.Stepped == false) > 1)
            return TooSmall(i, "no step changes any layer", Remedies.NothingSteps, nameof(Remedies.NothingSteps));
        double change = Median(steps.Select(l => l.Change)), ofNorm = Median(steps.Select(l => l.Change / l.WeightNorm));
        if (change == 0) return TooSmall(i, "a step does not change it, though it has a gradient", Remedies.Unchanged, nameof(Remedies.Unchanged));
        double ofSize = Median(steps.Select(l => l.Change / Size(l)));
        if (ofSize > _thresholds.LargestUpdate && double.IsFinite(ofSize))
            return Of(VerdictKind.UpdateTooLarge, i, $"a step changes it by {Share(ofSize)} of its norm{(ofSize == ofNorm ? "" : " at initialization")}",
                Remedies.UpdateTooLarge(_context), ofSize);
        if (ofNorm < _thresholds.SmallestUpdate)
            return Of(VerdictKind.UpdateTooSmall, i, $"a step changes it by {Number(ofNorm)} of its norm", Remedies.UpdateTooSmall, ofNorm);
        return Of(VerdictKind.Healthy, i, $"gradient norm {Number(layer.Norm)}", "");
    }

    private Verdict NonFinite(int i)
    {
        var layer = _layers[i];
        bool weights = !double.IsFinite(layer.WeightNorm);
        string what = weights ? "weights are not finite" : $"{Share(layer.NonFiniteShare)} of the gradient is not finite";
        string remedy = i != _culprit || _watched is not null ? Remedies.Follows(Origin)
            : weights ? Remedies.BadWeights
            : i == Last(_ => true) ? Remedies.BadLoss
            : Remedies.BadGradient(_context);
        return Of(VerdictKind.NonFinite, i, $"{what} in step {_latest[^1].Step}", remedy, layer.NonFiniteShare);
    }

    /// <summary>
    /// The layer in which the first non-finite value occurred. Non-finite weights spread forwards and cause non-finite gradients, which spread backwards.
    /// </summary>
    private int Culprit()
    {
        int weights = _layers.ToList().FindIndex(l => !double.IsFinite(l.WeightNorm));
        return weights >= 0 ? weights : Last(IsNonFinite);
    }

    /// <summary>
    /// The layer with which gradients are compared: the last one that has a matrix and a gradient. If the gradient of the one before it is larger than a
    /// single layer can make it, the loss has several heads and the last one contributes little: then it is the one before.
    /// </summary>
    private int Reference()
    {
        const double mostOfOneLayer = 100;
        int reference = -1, next = -1;
        for (int i = _layers.Count - 1; i >= 0; i--)
        {
            if (!_layers[i].Maps || _layers[i].Norm == 0) continue;
            if (reference < 0 || _layers[i].Norm > mostOfOneLayer * _layers[next].Norm) reference = i;
            next = i;
        }
        return reference >= 0 ? reference : Last(l => l.Norm != 0);
    }

    private bool StartsAtZero(GradientRecord layer) => layer.Gain < layer.InitialNorm / 10 && _first.Layers.Any(l => l.Layer == layer.Layer && l.Gain == 0);

    private int Last(Predicate<GradientRecord> match) => Last(-1, match);

    /// <summary>The index of the last layer that matches, if it comes after the i-th; else −1.</summary>
    private int Last(int i, Predicate<GradientRecord> match)
    {
        int last = _layers.ToList().FindLastIndex(match);
        return last > i ? last : -1;
    }

    private Verdict Of(VerdictKind kind, int i, string evidence, string remedy, double value = double.NaN, string cause = "") =>
        Pass(kind, _layers[i].Layer, i, _layers.Count, evidence, remedy, value, cause);

    private Verdict TooSmall(int i, string evidence, string remedy, string cause) => Of(VerdictKind.UpdateTooSmall, i, evidence, remedy, 0, cause);

    private static bool IsNonFinite(GradientRecord layer) => !double.IsFinite(layer.Norm) || !double.IsFinite(layer.WeightNorm);

    private static double Total(GradientReport report) => Math.Sqrt(report.Layers.Sum(l => Size(l) * Size(l)));

    // The norm that gradients and updates are compared with: a layer that starts at or near zero counts as one with default weights.
    private static double Size(GradientRecord layer) => Math.Max(layer.WeightNorm, layer.InitialNorm);
}

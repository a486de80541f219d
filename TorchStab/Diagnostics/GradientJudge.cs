using TorchStab.Initialization;
using static TorchSharp.torch;
using static TorchStab.Diagnostics.Judgement;

namespace TorchStab.Diagnostics;

/// <summary>Passes a verdict on each layer from the latest reports.</summary>
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

    private GradientJudge(nn.Module model, List<GradientReport> history, VerdictThresholds thresholds, Steppers steppers)
    {
        (_thresholds, _context, _first) = (thresholds, new(model, history[0], steppers.Clip), history[0]);
        _stepped = steppers.Stepped(model);
        // A NaN stays in the verdict for as long as it is in the history, with the report in which it came.
        var bad = history.Find(r => r.Layers.Any(IsBad));
        _latest = bad is null ? history[^Math.Min(history.Count, thresholds.Samples)..] : [bad];
        _layers = _latest[^1].Layers;
        _latest.RemoveAll(r => !r.Layers.Select(l => l.Layer).SequenceEqual(_layers.Select(l => l.Layer))); // before a swap: other layers
        _reference = Reference();
        _culprit = bad is null ? -1 : Culprit();
    }

    public static Diagnosis Run(nn.Module model, List<GradientReport> history, VerdictThresholds thresholds, Steppers steppers)
    {
        var unregistered = UnregisteredModules.Of(model).ConvertAll(NotRegistered);
        if (history.Count == 0) return Diagnose(unregistered, _ => 0);
        var judge = new GradientJudge(model, history, thresholds, steppers);
        List<Verdict> verdicts = [.. Enumerable.Range(0, judge._layers.Count).Select(judge.Judge), .. unregistered];
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
        if (ofWeights > _thresholds.ExplodingToWeights)
            return Of(VerdictKind.Exploding, i, $"gradient {Number(ofWeights)} times the norm of all weights", Remedies.Exploding(_context, layer.Layer), ofWeights);
        // A gradient that is small beside the layer's own weights harms nobody, however little another layer gets.
        if (ofLast > _thresholds.ExplodingRatio && Median(_latest.Select(r => r.Layers[i].Norm / Size(r.Layers[i]))) > 1)
            return Of(VerdictKind.Exploding, i, $"gradient {Number(ofLast)} times the last layer's", Remedies.Exploding(_context, layer.Layer), ofLast);
        bool zero = Median(_latest.Select(r => r.Layers[i].Norm)) == 0;
        return zero || (ofLast < _thresholds.VanishingRatio && i < _reference) ? Vanishing(i, zero ? 0 : ofLast) : Update(i);
    }

    private Verdict Vanishing(int i, double ofLast)
    {
        string evidence = ofLast == 0 ? "gradient exactly zero" : $"gradient {Number(ofLast)} of the last layer's";
        // The last layer on the way back that starts at zero: it learns first, and what lies before it after that.
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
            return Of(VerdictKind.UpdateTooSmall, i, $"no optimizer that stepped has {string.Join(", ", notStepped)}", Remedies.NotStepped, 0, nameof(Remedies.NotStepped));
        if (steps.Count == 0 && _latest.Count(r => r.Stepped == false) > 1)
            return Of(VerdictKind.UpdateTooSmall, i, "no step changes any layer", Remedies.NothingSteps, 0, nameof(Remedies.NothingSteps));
        double change = Median(steps.Select(l => l.Change)), ofNorm = Median(steps.Select(l => l.Change / l.WeightNorm));
        if (change == 0) return Of(VerdictKind.UpdateTooSmall, i, "a step does not change it, though it has a gradient", Remedies.Resting, 0, nameof(Remedies.Resting));
        double ofSize = Median(steps.Select(l => l.Change / Size(l)));
        if (ofSize > _thresholds.LargestUpdate && double.IsFinite(ofSize))
            return Of(VerdictKind.UpdateTooLarge, i, $"a step changes it by {Share(ofSize)} of its norm{(ofSize == ofNorm ? "" : " as a fresh layer has it")}",
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
        string remedy = i != _culprit ? Remedies.Follows(_layers[_culprit].Layer)
            : weights ? Remedies.BadWeights
            : i == Last(_ => true) ? Remedies.BadLoss
            : Remedies.BadGradient(_context);
        return Of(VerdictKind.NonFinite, i, $"{what} in step {_latest[^1].Step}", remedy, layer.NonFiniteShare);
    }

    /// <summary>Bad weights come before bad gradients, and spread forwards; a bad gradient spreads backwards.</summary>
    private int Culprit()
    {
        int weights = _layers.ToList().FindIndex(l => !double.IsFinite(l.WeightNorm));
        return weights >= 0 ? weights : Last(IsBad);
    }

    /// <summary>
    /// The last layer that maps and has a gradient. Where the one before it has so much more that no layer between the two can have made the difference,
    /// the loss has several heads, and the last one's share in it is small: then that one.
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

    private bool StartsAtZero(GradientRecord layer) => layer.Gain < layer.Fresh / 10 && _first.Layers.Any(l => l.Layer == layer.Layer && l.Gain == 0);

    private int Last(Predicate<GradientRecord> match) => Last(-1, match);

    /// <summary>The last of the layers behind the i-th that match; −1 where none does.</summary>
    private int Last(int i, Predicate<GradientRecord> match)
    {
        int last = _layers.ToList().FindLastIndex(match);
        return last > i ? last : -1;
    }

    private Verdict Of(VerdictKind kind, int i, string evidence, string remedy, double value = double.NaN, string cause = "") =>
        Pass(kind, _layers[i].Layer, i, _layers.Count, evidence, remedy, value, cause);

    private static bool IsBad(GradientRecord layer) => !double.IsFinite(layer.Norm) || !double.IsFinite(layer.WeightNorm);

    private static double Total(GradientReport report) => Math.Sqrt(report.Layers.Sum(l => Size(l) * Size(l)));

    // What starts at zero, or as good as that, has no size yet to hold gradients and steps against.
    private static double Size(GradientRecord layer) => Math.Max(layer.WeightNorm, layer.Fresh);
}

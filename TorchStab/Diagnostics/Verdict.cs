using System.Text;

namespace TorchStab;

/// <summary>The state of a layer: what can be wrong with it, most severe first.</summary>
public enum VerdictKind
{
    /// <summary>NaN or an infinity in an activation, a gradient or a weight.</summary>
    NonFinite,

    /// <summary>A parameter that requires a gradient and has none after backward.</summary>
    NotConnected,

    /// <summary>A gradient much larger than the last layer's, or than the weights.</summary>
    Exploding,

    /// <summary>A gradient much smaller than the last layer's.</summary>
    Vanishing,

    /// <summary>A rectifier with many units that are zero for every input.</summary>
    Dead,

    /// <summary>A sigmoid or tanh with many values in its flat ends.</summary>
    Saturated,

    /// <summary>A step changes a large part of the weights.</summary>
    UpdateTooLarge,

    /// <summary>A step does not change the weights, or hardly.</summary>
    UpdateTooSmall,

    /// <summary>No other kind applies.</summary>
    Healthy,

    /// <summary>
    /// A layer without a record, because its hook did not run; or a model of which nothing was recorded. Less severe than all other kinds but
    /// <see cref="Healthy"/>.
    /// </summary>
    NotSeen,

    /// <summary>
    /// A module that another one holds in a field or a list without registering it, so that no optimizer trains it. As severe as <see cref="NotSeen"/>.
    /// </summary>
    NotRegistered,

    /// <summary>
    /// A watched tensor of logits with values so large that their softmax is one-hot: training usually diverges. Less severe than <see cref="Saturated"/>,
    /// more severe than <see cref="UpdateTooLarge"/>.
    /// </summary>
    LargeLogits,
}

/// <summary>What is wrong with one layer or with the model, the evidence for it, and a proposed fix.</summary>
public sealed record Verdict
{
    /// <summary>What is wrong; <see cref="VerdictKind.Healthy"/> if nothing is.</summary>
    public required VerdictKind Kind { get; init; }

    /// <summary>The name in the model of the layer that the verdict is about; empty if it is about the whole model.</summary>
    public required string Layer { get; init; }

    /// <summary>The measurement behind the verdict, such as “layer 3 of 10 (linear3): gradient 1e-9 of the last layer's”.</summary>
    public required string Evidence { get; init; }

    /// <summary>The proposed fix in one sentence; empty if nothing is wrong.</summary>
    public string Remedy { get; init; } = "";

    /// <summary>The number that was compared with the threshold; NaN if there is none.</summary>
    public double Value { get; init; } = double.NaN;

    /// <summary>The other layers that are affected by the same cause, in the layers' order. Filled in <see cref="Diagnosis.Findings"/> only.</summary>
    public IReadOnlyList<string> Also { get; init; } = [];

    /// <summary>The cause, where one kind can have several: verdicts of one kind and cause become one finding.</summary>
    internal string Cause { get; init; } = "";

    /// <summary>Kind, evidence and fix in one line.</summary>
    public override string ToString() => Remedy.Length == 0 ? $"{Kind}: {Evidence}" : $"{Kind}: {Evidence}; {Remedy}";
}

/// <summary>The verdicts on a model: <see cref="ToString"/> returns a line for each cause.</summary>
public sealed record Diagnosis
{
    private const int MostNames = 8;

    /// <summary>The most severe finding; without any, a verdict that the model is healthy.</summary>
    public required Verdict Model { get; init; }

    /// <summary>The most severe verdict on each layer, in the layers' order.</summary>
    public required IReadOnlyList<Verdict> Layers { get; init; }

    /// <summary>
    /// One finding for each cause, most severe first: the verdict on the layer where it is worst or where it starts, with the other affected layers in
    /// <see cref="Verdict.Also"/>. Empty if the model is healthy.
    /// </summary>
    public IReadOnlyList<Verdict> Findings { get; init; } = [];

    /// <summary>A line for each finding; for a healthy model one line that says so.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        foreach (var finding in Findings.Count == 0 ? [Model] : Findings) text.AppendLine($"{finding}{Others(finding.Also)}");
        return text.ToString();
    }

    private static string Others(IReadOnlyList<string> also)
    {
        if (also.Count == 0) return "";
        string more = also.Count > MostNames ? $" and {also.Count - MostNames} more" : "";
        return $" (so {(also.Count == 1 ? "is" : "are")} {string.Join(", ", also.Take(MostNames))}{more})";
    }
}

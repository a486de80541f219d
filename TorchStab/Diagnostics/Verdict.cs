using System.Text;

namespace TorchStab;

/// <summary>What can be wrong with a layer, the gravest first.</summary>
public enum VerdictKind
{
    /// <summary>NaN or an infinity in an activation, a gradient or a weight.</summary>
    NonFinite,

    /// <summary>A parameter that asks for a gradient and has none after backward.</summary>
    NotConnected,

    /// <summary>A gradient far beyond the last layer's, or beyond the weights.</summary>
    Exploding,

    /// <summary>A gradient far below the last layer's.</summary>
    Vanishing,

    /// <summary>Rectifiers that are zero whatever comes in.</summary>
    Dead,

    /// <summary>S-shaped functions at their flat ends.</summary>
    Saturated,

    /// <summary>Steps that change the weights beyond recognition.</summary>
    UpdateTooLarge,

    /// <summary>Steps that hardly change the weights.</summary>
    UpdateTooSmall,

    /// <summary>Nothing of the above, nor of the below.</summary>
    Healthy,

    /// <summary>Layers that nothing is known of: no hook saw them. Less grave than all but <see cref="Healthy"/>.</summary>
    NotSeen,

    /// <summary>Modules that another holds in a field or a list without having registered them: nothing trains them. Less grave than all but <see cref="Healthy"/>.</summary>
    NotRegistered,
}

/// <summary>What is wrong with one layer, or with the model, what shows it, and what helps.</summary>
public sealed record Verdict
{
    /// <summary>What is wrong; <see cref="VerdictKind.Healthy"/> if nothing is.</summary>
    public required VerdictKind Kind { get; init; }

    /// <summary>The layer's name in the model; empty where the verdict is about the model as a whole.</summary>
    public required string Layer { get; init; }

    /// <summary>What was measured, such as “layer 3 of 10 (linear3): gradient 1e-9 of the last layer's”.</summary>
    public required string Evidence { get; init; }

    /// <summary>What helps, in one sentence; empty where nothing is wrong.</summary>
    public string Remedy { get; init; } = "";

    /// <summary>The number that the threshold was held against; NaN where there is none.</summary>
    public double Value { get; init; } = double.NaN;

    /// <summary>The other layers that have it from the same cause, in the layers' order; only of <see cref="Diagnosis.Findings"/>.</summary>
    public IReadOnlyList<string> Also { get; init; } = [];

    /// <summary>What tells apart findings of one kind; layers that share it have one finding.</summary>
    internal string Cause { get; init; } = "";

    /// <summary>Evidence and remedy in one line.</summary>
    public override string ToString() => Remedy.Length == 0 ? $"{Kind}: {Evidence}" : $"{Kind}: {Evidence}; {Remedy}";
}

/// <summary>The verdicts on a model: <see cref="ToString"/> prints a line for each cause.</summary>
public sealed record Diagnosis
{
    private const int MostNames = 8;

    /// <summary>The gravest of the findings; where there is none, that the model is healthy.</summary>
    public required Verdict Model { get; init; }

    /// <summary>The gravest verdict on each layer, in the layers' order.</summary>
    public required IReadOnlyList<Verdict> Layers { get; init; }

    /// <summary>
    /// What is wrong, one for each cause, the gravest first: the verdict on the layer where it is worst or where it starts, with the layers that have it
    /// from the same cause in <see cref="Verdict.Also"/>. Empty where all is well.
    /// </summary>
    public IReadOnlyList<Verdict> Findings { get; init; } = [];

    /// <summary>The findings; of a healthy model that it is.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        foreach (var finding in Findings.Count == 0 ? [Model] : Findings) text.AppendLine($"{finding}{Others(finding.Also)}");
        return text.ToString();
    }

    private static string Others(IReadOnlyList<string> also) => also.Count == 0 ? ""
        : $" (so {(also.Count == 1 ? "is" : "are")} {string.Join(", ", also.Take(MostNames))}{(also.Count > MostNames ? $" and {also.Count - MostNames} more" : "")})";
}

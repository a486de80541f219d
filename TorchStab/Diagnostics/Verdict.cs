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

    /// <summary>Nothing of the above.</summary>
    Healthy,
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

    /// <summary>Evidence and remedy in one line.</summary>
    public override string ToString() => Remedy.Length == 0 ? $"{Kind}: {Evidence}" : $"{Kind}: {Evidence}; {Remedy}";
}

/// <summary>The verdicts on a model: <see cref="ToString"/> prints the model's and those of the layers that are ill.</summary>
public sealed record Diagnosis
{
    /// <summary>The gravest of the layers' verdicts, of those the one on the layer where it is worst or where it starts.</summary>
    public required Verdict Model { get; init; }

    /// <summary>The gravest verdict on each layer, in the layers' order.</summary>
    public required IReadOnlyList<Verdict> Layers { get; init; }

    /// <summary>The model's verdict, and under it each layer that is not healthy.</summary>
    public override string ToString()
    {
        var text = new StringBuilder().AppendLine($"{Model}");
        foreach (var layer in Layers.Where(v => v.Kind != VerdictKind.Healthy && v != Model)) text.AppendLine($"  {layer}");
        return text.ToString();
    }
}

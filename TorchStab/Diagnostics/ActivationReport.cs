using System.Globalization;
using TorchStab.Initialization;

namespace TorchStab;

/// <summary>The output of one layer in one forward pass.</summary>
public sealed record ActivationRecord
{
    /// <summary>The layer's name in the model; a model without children is called by its type.</summary>
    public required string Layer { get; init; }

    /// <summary>The type of its module.</summary>
    public required string Kind { get; init; }

    /// <summary>The mean of the output.</summary>
    public required double Mean { get; init; }

    /// <summary>Its standard deviation (division by n).</summary>
    public required double Std { get; init; }

    /// <summary>Of a ReLU: the share of units, channels or features, that are zero for the whole batch; null for others.</summary>
    public double? DeadShare { get; init; }

    /// <summary>Of a sigmoid or tanh: the share of values at which it is flat (<see cref="VerdictThresholds.FlatSlope"/>); null for others.</summary>
    public double? SaturatedShare { get; init; }

    /// <summary>The share of values that are NaN or infinite.</summary>
    public required double NonFiniteShare { get; init; }

    /// <summary>How many values each unit had: rows of the batch, times positions of a channel.</summary>
    public required long Rows { get; init; }

    /// <summary>Whether the layer is a normalization.</summary>
    internal bool Normalizes { get; init; }
}

/// <summary>What came out of a model's layers in one forward pass, in the order in which they were called; complete once the pass is over.</summary>
public sealed record ActivationReport
{
    /// <summary>The number of the model's call, from 1 on.</summary>
    public required long Call { get; init; }

    /// <summary>The layers and activations that were called, each once.</summary>
    public required IReadOnlyList<ActivationRecord> Layers { get; init; }

    /// <summary>A table of the layers.</summary>
    public override string ToString()
    {
        var table = new TextTable("layer", "type", "mean", "std", "dead", "saturated", "not finite");
        foreach (var l in Layers)
            table.Add(l.Layer, l.Kind, Number(l.Mean), Number(l.Std), Share(l.DeadShare), Share(l.SaturatedShare), Share(l.NonFiniteShare));
        return $"call {Call}{Environment.NewLine}{table}";
    }

    private static string Number(double value) => value.ToString("g3", CultureInfo.InvariantCulture);

    private static string Share(double? value) => value is { } v ? v.ToString("0.0 %", CultureInfo.InvariantCulture) : "";
}

using System.Globalization;
using TorchStab.Initialization;

namespace TorchStab;

/// <summary>Measurements of one layer's output in one forward pass.</summary>
public sealed record ActivationRecord
{
    /// <summary>The name in the model of the layer whose output was measured; for the model itself the name of its type.</summary>
    public required string Layer { get; init; }

    /// <summary>The type of the layer's module.</summary>
    public required string Kind { get; init; }

    /// <summary>The mean of the output.</summary>
    public required double Mean { get; init; }

    /// <summary>Its standard deviation (division by n).</summary>
    public required double Std { get; init; }

    /// <summary>The share of a ReLU's units (channels or features) that are zero for the whole batch; null for other layers.</summary>
    public double? DeadShare { get; init; }

    /// <summary>The share of a sigmoid's or tanh's values in its flat ends (<see cref="VerdictThresholds.FlatSlope"/>); null for other layers.</summary>
    public double? SaturatedShare { get; init; }

    /// <summary>The share of output values that are NaN or infinite.</summary>
    public required double NonFiniteShare { get; init; }

    /// <summary>The largest |x| of a tensor given to <see cref="ActivationMonitor.Watch"/>; null for layers.</summary>
    public double? LargestMagnitude { get; init; }

    /// <summary>The number of values of each unit: the batch size, times the positions of a channel.</summary>
    public required long Rows { get; init; }

    /// <summary>Whether it is a normalization.</summary>
    internal bool Normalizes { get; init; }
}

/// <summary>The outputs of a model's layers in one forward pass, in the order of the calls; complete when the pass is over.</summary>
public sealed record ActivationReport
{
    /// <summary>The number of the model's call, counted from 1.</summary>
    public required long Call { get; init; }

    /// <summary>The layers and activation functions that were called, each once.</summary>
    public required IReadOnlyList<ActivationRecord> Layers { get; init; }

    /// <summary>A table with a row for each layer's output.</summary>
    public override string ToString()
    {
        var table = new TextTable("layer", "type", "mean", "std", "dead", "saturated", "not finite", "largest");
        foreach (var l in Layers)
        {
            string largest = l.LargestMagnitude is { } m ? Number(m) : "";
            table.Add(l.Layer, l.Kind, Number(l.Mean), Number(l.Std), Share(l.DeadShare), Share(l.SaturatedShare), Share(l.NonFiniteShare), largest);
        }

        return $"call {Call}{Environment.NewLine}{table}";
    }

    private static string Number(double value) => value.ToString("g3", CultureInfo.InvariantCulture);

    private static string Share(double? value) => value is { } v ? v.ToString("0.0 %", CultureInfo.InvariantCulture) : "";
}

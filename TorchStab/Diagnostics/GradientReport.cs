using System.Globalization;
using TorchStab.Initialization;

namespace TorchStab;

/// <summary>The gradients of one layer: of all parameters that its module holds itself, taken together.</summary>
public sealed record GradientRecord
{
    /// <summary>The layer's name in the model; a model without children is called by its type.</summary>
    public required string Layer { get; init; }

    /// <summary>The type of its module.</summary>
    public required string Kind { get; init; }

    /// <summary>How many elements its trainable parameters have.</summary>
    public required long Elements { get; init; }

    /// <summary>‖g‖₂; NaN or infinite if an element is; 0 where no gradient has come.</summary>
    public required double Norm { get; init; }

    /// <summary>max |g|.</summary>
    public required double Max { get; init; }

    /// <summary>The share of elements that are exactly zero; those without a gradient count.</summary>
    public required double ZeroShare { get; init; }

    /// <summary>The share of elements that are NaN or infinite.</summary>
    public required double NonFiniteShare { get; init; }

    /// <summary>‖w‖₂ of the same parameters, before the step.</summary>
    public required double WeightNorm { get; init; }

    /// <summary>‖g‖ / ‖w‖; not finite where the weights are zero.</summary>
    public double Ratio => Norm / WeightNorm;

    /// <summary>‖Δw‖ / ‖w‖ of the step that followed, Δw of a parameter of over 65,536 elements taken from evenly spaced ones; null where the monitor did not see it (<see cref="GradientMonitor.Observe"/>).</summary>
    public double? UpdateRatio { get; init; }

    /// <summary>Names of its parameters that ask for a gradient and have none.</summary>
    public required IReadOnlyList<string> NotConnected { get; init; }

    /// <summary>Whether it has a matrix: a layer that maps, not one that only scales and shifts.</summary>
    internal bool Maps { get; init; }

    /// <summary>‖w‖₂ of its matrices, or of its scale where it has none: 0 where it passes no gradient on; NaN where it only shifts.</summary>
    internal double Gain { get; init; } = double.NaN;

    /// <summary>‖g‖₂ of the same: whether they learn.</summary>
    internal double GainNorm { get; init; }

    /// <summary>‖w‖₂ that a fresh layer of these shapes has: matrices of U(−1/√fan, 1/√fan), else ones. What a step of a layer that starts at zero is held against.</summary>
    internal double Fresh { get; init; }

    /// <summary>‖Δw‖; NaN where the step that was seen was not about this layer.</summary>
    internal double Change { get; init; } = double.NaN;

    /// <summary>Names of its parameters that have a gradient, and that no optimizer has that was seen to step.</summary>
    internal IReadOnlyList<string> NotStepped { get; init; } = [];
}

/// <summary>The gradients of a model after one backward pass, layer by layer in the order of the module tree.</summary>
public sealed record GradientReport
{
    /// <summary>The number of the monitor's call, from 1 on.</summary>
    public required long Step { get; init; }

    /// <summary>The norm of all gradients together.</summary>
    public required double Total { get; init; }

    /// <summary>The layers with trainable parameters, first to last.</summary>
    public required IReadOnlyList<GradientRecord> Layers { get; init; }

    /// <summary>Whether a step followed that changed something; null where none was seen.</summary>
    internal bool? Stepped { get; init; }

    /// <summary>
    /// The k layers whose gradients are furthest off: not finite ones first, then those whose norm is furthest, in orders of magnitude, from
    /// the median of the layers.
    /// </summary>
    /// <param name="k">How many; fewer if the model has fewer layers.</param>
    /// <returns>The layers, the worst first.</returns>
    public IReadOnlyList<GradientRecord> Worst(int k)
    {
        double[] norms = [.. Layers.Select(l => l.Norm).Where(double.IsFinite).Order()];
        double median = norms.Length == 0 ? 1 : norms[norms.Length / 2];
        return [.. Layers.OrderByDescending(l => double.IsFinite(l.Norm) ? Math.Abs(Math.Log(l.Norm / median)) : double.PositiveInfinity).Take(k)];
    }

    /// <summary>A table of the layers.</summary>
    public override string ToString()
    {
        var table = new TextTable("layer", "type", "norm", "max", "zero", "not finite", "norm/weight", "update/weight");
        foreach (var l in Layers)
            table.Add(l.Layer, l.Kind, Number(l.Norm), Number(l.Max), Share(l.ZeroShare), Share(l.NonFiniteShare), Number(l.Ratio), Number(l.UpdateRatio));
        return $"step {Step}, total gradient norm {Number(Total)}{Environment.NewLine}{table}";
    }

    private static string Number(double? value) => value is { } v ? v.ToString("0.0e+0", CultureInfo.InvariantCulture) : "";

    private static string Share(double value) => value.ToString("0.0 %", CultureInfo.InvariantCulture);
}

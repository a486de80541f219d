using System.Globalization;
using TorchStab.Initialization;

namespace TorchStab;

/// <summary>Measurements of one layer's gradients: of all trainable parameters of its module, without those of its children.</summary>
public sealed record GradientRecord
{
    /// <summary>The name in the model of the layer whose gradients were measured; for the model itself the name of its type.</summary>
    public required string Layer { get; init; }

    /// <summary>The type of the module that holds the parameters.</summary>
    public required string Kind { get; init; }

    /// <summary>The number of elements of its trainable parameters.</summary>
    public required long Elements { get; init; }

    /// <summary>‖g‖₂; NaN or infinite if an element is; 0 without any gradient.</summary>
    public required double Norm { get; init; }

    /// <summary>max |g|.</summary>
    public required double Max { get; init; }

    /// <summary>The share of elements whose gradient is exactly zero; an element without a gradient counts as zero.</summary>
    public required double ZeroShare { get; init; }

    /// <summary>The share of elements whose gradient is NaN or infinite.</summary>
    public required double NonFiniteShare { get; init; }

    /// <summary>‖w‖₂ of the same parameters, before the step.</summary>
    public required double WeightNorm { get; init; }

    /// <summary>‖g‖ / ‖w‖; not finite if all weights are zero.</summary>
    public double Ratio => Norm / WeightNorm;

    /// <summary>
    /// ‖Δw‖ / ‖w‖ of the step that followed; null if the monitor did not record the step (<see cref="GradientMonitor.Observe"/>). For a parameter of more
    /// than 65,536 elements, ‖Δw‖ is estimated from evenly spaced ones.
    /// </summary>
    public double? UpdateRatio { get; init; }

    /// <summary>The names of its parameters that require a gradient and have none.</summary>
    public required IReadOnlyList<string> NotConnected { get; init; }

    /// <summary>Whether it has a matrix; a layer that only scales and shifts has none.</summary>
    internal bool Maps { get; init; }

    /// <summary>‖w‖₂ of its matrices or, without any, of its scale. If 0, it passes no gradient back. NaN for a layer that only shifts.</summary>
    internal double Gain { get; init; } = double.NaN;

    /// <summary>‖g‖₂ of the same parameters; above 0 if they learn.</summary>
    internal double GainNorm { get; init; }

    /// <summary>
    /// ‖w‖₂ of the layer with default weights: U(−1/√fan, 1/√fan) for matrices, else ones. A step of a layer that starts at zero is compared with it.
    /// </summary>
    internal double InitialNorm { get; init; }

    /// <summary>‖Δw‖; NaN if the recorded step was that of an optimizer without this layer.</summary>
    internal double Change { get; init; } = double.NaN;

    /// <summary>The names of its parameters that have a gradient and belong to no optimizer whose step was recorded.</summary>
    internal IReadOnlyList<string> NotStepped { get; init; } = [];
}

/// <summary>The gradients of a model after one backward pass, layer by layer in the order of the module tree.</summary>
public sealed record GradientReport
{
    /// <summary>The number of the monitor's call, counted from 1.</summary>
    public required long Step { get; init; }

    /// <summary>The norm of all gradients together.</summary>
    public required double Total { get; init; }

    /// <summary>The layers with trainable parameters, first to last.</summary>
    public required IReadOnlyList<GradientRecord> Layers { get; init; }

    /// <summary>
    /// The gradients of tensors inside the model (<c>stab.nn.functional.watch_gradient</c>), in the order of the backward pass; empty if none is watched.
    /// </summary>
    public IReadOnlyList<WatchedGradient> Watched { get; init; } = [];

    /// <summary>Whether the step that followed changed a weight; null if no step was recorded.</summary>
    internal bool? Stepped { get; init; }

    /// <summary>
    /// The k layers with the most unusual gradients: first those that are not finite, then those whose norm differs most, in orders of magnitude, from
    /// the median of the layers.
    /// </summary>
    /// <param name="k">The number of layers; the result has fewer if the model does.</param>
    /// <returns>The layers, most unusual first.</returns>
    public IReadOnlyList<GradientRecord> Worst(int k)
    {
        double[] norms = [.. Layers.Select(l => l.Norm).Where(double.IsFinite).Order()];
        double median = norms.Length == 0 ? 1 : norms[norms.Length / 2];
        return [.. Layers.OrderByDescending(l => double.IsFinite(l.Norm) ? Math.Abs(Math.Log(l.Norm / median)) : double.PositiveInfinity).Take(k)];
    }

    /// <summary>A table with a row for each layer's gradients.</summary>
    public override string ToString()
    {
        var table = new TextTable("layer", "type", "norm", "max", "zero", "not finite", "norm/weight", "update/weight");
        foreach (var l in Layers)
            table.Add(l.Layer, l.Kind, Number(l.Norm), Number(l.Max), Share(l.ZeroShare), Share(l.NonFiniteShare), Number(l.Ratio), Number(l.UpdateRatio));
        string watched = string.Concat(Watched.Select(w =>
            $"watched {w.Name}: norm {Number(w.Norm)}, max {Number(w.Max)}, not finite {Share(w.NonFiniteShare)}{Environment.NewLine}"));
        return $"step {Step}, total gradient norm {Number(Total)}{Environment.NewLine}{table}{watched}";
    }

    private static string Number(double? value) => value is { } v ? v.ToString("0.0e+0", CultureInfo.InvariantCulture) : "";

    private static string Share(double value) => value.ToString("0.0 %", CultureInfo.InvariantCulture);
}

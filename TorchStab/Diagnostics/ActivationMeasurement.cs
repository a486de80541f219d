using TorchStab.Clipping;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Diagnostics;

/// <summary>
/// Measures one output: its mean and variance and, for an activation function, a count of dead units or saturated values. What a kernel measures is known
/// at once; the rest is computed on the output's device and read later.
/// </summary>
internal sealed class ActivationMeasurement
{
    private readonly ActivationLayer _layer;
    private readonly long _elements, _units;
    private readonly bool _hasUnits;
    private double _mean = double.NaN, _variance = double.NaN, _count, _nonFinite, _largest;

    private ActivationMeasurement(ActivationLayer layer, Tensor x, int axis)
    {
        _layer = layer;
        _elements = x.numel();
        _hasUnits = x.dim() > 1;
        _units = _hasUnits ? x.size(axis) : 1;
    }

    /// <summary>Measures an output; null if it is empty or not of a floating dtype.</summary>
    public static ActivationMeasurement? Take(ActivationLayer layer, Tensor output, int? channelAxis, double flatSlope, DeviceNumbers later)
    {
        if (!output.is_floating_point() || output.numel() == 0) return null;
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var x = output.dtype == GradientNorms.Accumulator(output) ? output : output.to(GradientNorms.Accumulator(output));
        int axis = Axis(channelAxis, (int)x.dim());
        var measured = new ActivationMeasurement(layer, x, axis);
        measured.AddMoments(x, later);
        measured.AddCount(x, axis, flatSlope, later);
        if (layer.Module is null) later.Add(linalg.vector_norm(x, double.PositiveInfinity), value => measured._largest = value);
        return measured;
    }

    /// <summary>The record, once the numbers are read.</summary>
    public ActivationRecord Record() => new()
    {
        Layer = _layer.Name,
        Kind = _layer.Module?.GetType().Name ?? "watched",
        Mean = _mean,
        Std = Math.Sqrt(_variance),
        DeadShare = _layer.Shape == ActivationShape.Rectifier && _hasUnits ? 1 - (_count / _units) : null,
        SaturatedShare = _layer.Shape is ActivationShape.Sigmoid or ActivationShape.Tanh ? _count / _elements : null,
        NonFiniteShare = _nonFinite / _elements,
        Rows = _elements / _units,
        LargestMagnitude = _layer.Module is null ? _largest : null,
        Normalizes = _layer.Normalizes,
    };

    private void AddMoments(Tensor x, DeviceNumbers later)
    {
        if (!MomentsLaunch.TryTake(x, out _mean, out _variance))
        {
            var (variance, mean) = x.var_mean(unbiased: false);
            later.Add(mean, value => _mean = value);
            later.Add(variance, value => _variance = value);
        }
        // If the moments are finite, all values are. x − x is 0 for finite numbers, and NaN for others.
        if (!double.IsFinite(_mean) || !double.IsFinite(_variance)) later.Add(linalg.vector_norm(x - x, 0), value => _nonFinite = value);
    }

    // The units that are not zero everywhere, or the values in the flat ends.
    private void AddCount(Tensor x, int axis, double flatSlope, DeviceNumbers later)
    {
        var counted = _layer.Shape switch
        {
            ActivationShape.Rectifier when _hasUnits =>
                linalg.vector_norm(x.amax([.. Enumerable.Range(0, (int)x.dim()).Where(d => d != axis).Select(d => (long)d)]), 0),
            // The slope is below the share s of its largest where 4y(1 − y) < s, so |y − ½| > ½√(1 − s); for tanh where 1 − y² < s, so |y| > √(1 − s).
            ActivationShape.Sigmoid => x.sub(0.5).abs_().gt(Math.Sqrt(1 - flatSlope) / 2).sum(),
            ActivationShape.Tanh => x.abs().gt(Math.Sqrt(1 - flatSlope)).sum(),
            _ => null,
        };
        if (counted is not null) later.Add(counted, value => _count = value);
    }

    private static int Axis(int? known, int rank) => known is { } axis
        ? Math.Max(0, axis < 0 ? rank + axis : Math.Min(axis, rank - 1))
        : rank > 3 ? 1 : Math.Max(0, rank - 1);
}

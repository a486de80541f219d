using TorchStab.Clipping;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Diagnostics;

/// <summary>Measures one output: its mean and variance and, for an activation function, a count of dead units or saturated values.</summary>
internal static class ActivationMeasurement
{
    /// <summary>The record of an output; null if it is empty or not of a floating dtype.</summary>
    public static ActivationRecord? Take(ActivationLayer layer, Tensor output, int? channelAxis, double flatSlope)
    {
        if (!output.is_floating_point() || output.numel() == 0) return null;
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var x = output.dtype == GradientNorms.Accumulator(output) ? output : output.to(GradientNorms.Accumulator(output));
        int axis = Axis(channelAxis, (int)x.dim());
        long units = x.dim() < 2 ? 1 : x.size(axis);
        var (mean, variance) = Moments(x);
        double count = Count(layer.Shape, x, axis, flatSlope);
        return new()
        {
            Layer = layer.Name,
            Kind = layer.Module?.GetType().Name ?? "watched",
            Mean = mean,
            Std = Math.Sqrt(variance),
            DeadShare = layer.Shape == ActivationShape.Rectifier && x.dim() > 1 ? count / units : null,
            SaturatedShare = layer.Shape is ActivationShape.Sigmoid or ActivationShape.Tanh ? count / x.numel() : null,
            NonFiniteShare = double.IsFinite(mean) && double.IsFinite(variance) ? 0 : 1 - (double)x.isfinite().sum().item<long>() / x.numel(),
            Rows = x.numel() / units,
            LargestMagnitude = layer.Module is null ? GradientNorms.Of([x], double.PositiveInfinity)[0] : null,
            Normalizes = layer.Normalizes,
        };
    }

    private static (double Mean, double Variance) Moments(Tensor x)
    {
        if (MomentsLaunch.TryTake(x, out double mean, out double variance)) return (mean, variance);
        var (variances, means) = x.var_mean(unbiased: false);
        double[] read = GradientNorms.ReadBack([means, variances]);
        return (read[0], read[1]);
    }

    /// <summary>The number of units that are zero everywhere, or of values in the flat ends; NaN for a layer that has neither.</summary>
    private static double Count(ActivationShape shape, Tensor x, int axis, double flatSlope) => shape switch
    {
        ActivationShape.Rectifier when x.dim() > 1 => DeadUnits(x, axis),
        // The slope is below the share s of its largest where 4y(1 − y) < s, so |y − ½| > ½√(1 − s); for tanh where 1 − y² < s, so |y| > √(1 − s).
        ActivationShape.Sigmoid => x.sub(0.5).abs_().gt(Math.Sqrt(1 - flatSlope) / 2).sum().item<long>(),
        ActivationShape.Tanh => x.abs().gt(Math.Sqrt(1 - flatSlope)).sum().item<long>(),
        _ => double.NaN,
    };

    private static double DeadUnits(Tensor x, int axis)
    {
        var largest = x.amax([.. Enumerable.Range(0, (int)x.dim()).Where(d => d != axis).Select(d => (long)d)]);
        return largest.numel() - GradientNorms.Of([largest], 0)[0];
    }

    private static int Axis(int? known, int rank) => known is { } axis
        ? Math.Max(0, axis < 0 ? rank + axis : Math.Min(axis, rank - 1))
        : rank > 3 ? 1 : Math.Max(0, rank - 1);
}

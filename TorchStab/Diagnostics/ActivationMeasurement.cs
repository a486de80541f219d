using TorchStab.Clipping;
using static TorchSharp.torch;

namespace TorchStab.Diagnostics;

/// <summary>Reads one output: a handful of tensor operations, one read-back.</summary>
internal static class ActivationMeasurement
{
    /// <summary>Null for an output that has no numbers to look at: integers, booleans, nothing.</summary>
    public static ActivationRecord? Take(ActivationLayer layer, Tensor output, int? channelAxis, double flatSlope)
    {
        if (!output.is_floating_point() || output.numel() == 0) return null;
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var x = output.detach().to(GradientNorms.Accumulator(output));
        int axis = Axis(channelAxis, (int)x.dim());
        long units = x.dim() < 2 ? 1 : x.size(axis);
        var (variance, mean) = x.var_mean(unbiased: false);
        double[] read = GradientNorms.ReadBack([mean, variance, Share(layer.Shape, x, axis, flatSlope) ?? mean]);
        bool finite = double.IsFinite(read[0]) && double.IsFinite(read[1]);
        return new()
        {
            Layer = layer.Name,
            Kind = layer.Module.GetType().Name,
            Mean = read[0],
            Std = Math.Sqrt(read[1]),
            DeadShare = layer.Shape == ActivationShape.Rectifier && x.dim() > 1 ? read[2] / units : null,
            SaturatedShare = layer.Shape is ActivationShape.Sigmoid or ActivationShape.Tanh ? read[2] / x.numel() : null,
            NonFiniteShare = finite ? 0 : 1 - (double)x.isfinite().sum().item<long>() / x.numel(),
            Rows = x.numel() / units,
        };
    }

    /// <summary>How many units are zero throughout, or how many values are on the flat; null where the layer has neither.</summary>
    private static Tensor? Share(ActivationShape shape, Tensor x, int axis, double flatSlope) => shape switch
    {
        ActivationShape.Rectifier when x.dim() > 1 => x.amax([.. Enumerable.Range(0, (int)x.dim()).Where(d => d != axis).Select(d => (long)d)]).eq(0).sum(),
        // 4y(1 − y) < s beyond ½ ± ½√(1 − s); 1 − y² < s beyond ±√(1 − s).
        ActivationShape.Sigmoid => x.sub(0.5).abs_().gt(Math.Sqrt(1 - flatSlope) / 2).sum(),
        ActivationShape.Tanh => x.abs().gt(Math.Sqrt(1 - flatSlope)).sum(),
        _ => null,
    };

    private static int Axis(int? known, int rank) => known is { } axis ? Math.Max(0, axis < 0 ? rank + axis : Math.Min(axis, rank - 1)) : rank > 3 ? 1 : Math.Max(0, rank - 1);
}

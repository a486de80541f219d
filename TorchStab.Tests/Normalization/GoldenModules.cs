using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Normalization;

/// <summary>Modules as golden cases describe them.</summary>
internal static class GoldenModules
{
    public static bool IsChannelNorm(string op) =>
        op is "BatchNorm1d" or "BatchNorm2d" or "BatchNorm3d" or "InstanceNorm1d" or "InstanceNorm2d" or "InstanceNorm3d";

    /// <summary>The module of a case's <c>op</c> and <c>params</c>; what is not there keeps its default.</summary>
    public static AffineModule Create(GoldenCase c)
    {
        var p = c.Params;
        long features = p.GetProperty("num_features").GetInt64();
        double eps = c.Number("eps") ?? 1e-5;
        double? momentum = p.TryGetProperty("momentum", out var m) ? GoldenCase.ToNumber(m) : 0.1;
        bool batch = c.Op.StartsWith("Batch", StringComparison.Ordinal);
        return Create(c.Op, features, eps, momentum, c.Flag("affine", batch), c.Flag("track_running_stats", batch), c.Dtype);
    }

    public static NormBase Create(string op, long features, double eps, double? momentum, bool affine, bool track, ScalarType dtype) => op switch
    {
        "BatchNorm1d" => stab.nn.BatchNorm1d(features, eps, momentum, affine, track, dtype: dtype),
        "BatchNorm2d" => stab.nn.BatchNorm2d(features, eps, momentum, affine, track, dtype: dtype),
        "BatchNorm3d" => stab.nn.BatchNorm3d(features, eps, momentum, affine, track, dtype: dtype),
        "InstanceNorm1d" => stab.nn.InstanceNorm1d(features, eps, momentum, affine, track, dtype: dtype),
        "InstanceNorm2d" => stab.nn.InstanceNorm2d(features, eps, momentum, affine, track, dtype: dtype),
        "InstanceNorm3d" => stab.nn.InstanceNorm3d(features, eps, momentum, affine, track, dtype: dtype),
        _ => throw new FormatException($"no module '{op}'"),
    };

    /// <summary>Copies a case's weight and bias in.</summary>
    public static void Load(AffineModule module, GoldenCase c)
    {
        using var _ = no_grad();
        foreach (var (name, parameter) in module.named_parameters()) parameter.copy_(c[name]);
    }
}

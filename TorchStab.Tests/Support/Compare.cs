using static TorchSharp.torch;

namespace TorchStab.Tests.Support;

/// <summary>Asserts on tensors: the same shape and dtype, NaN and infinities in the same places, the rest within a tolerance.</summary>
internal static class Compare
{
    /// <summary>max |actual − expected| ≤ tolerance · max(1, max |expected|); the tolerance of the dtype unless given.</summary>
    public static void Close(Tensor? expected, Tensor? actual, string what, double? tolerance = null)
    {
        if (expected is null && actual is null) return;
        Assert.True(expected is not null && actual is not null, $"{what}: {(actual is null ? "missing" : "not expected")}");
        Assert.True(expected!.dtype == actual!.dtype, $"{what}: dtype {actual.dtype}, expected {expected.dtype}");
        Assert.True(expected.shape.SequenceEqual(actual.shape),
            $"{what}: shape [{string.Join(", ", actual.shape)}], expected [{string.Join(", ", expected.shape)}]");
        if (expected.numel() == 0) return;
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var e = expected.detach().to(ScalarType.Float64);
        var a = actual.detach().to(ScalarType.Float64);
        var finite = e.isfinite();
        var same = e.eq(a).logical_or(e.isnan().logical_and(a.isnan()));
        Assert.True(finite.logical_or(same).all().item<bool>(), $"{what}: non-finite values differ");
        double scale = Math.Max(1, where(finite, e.abs(), zeros_like(e)).max().item<double>());
        double worst = where(finite, (e - a).abs(), zeros_like(e)).max().item<double>();
        double bound = (tolerance ?? Tolerance.Of(expected.dtype)) * scale;
        Assert.True(worst <= bound, $"{what}: off by {worst:g4}, allowed {bound:g4} (magnitude {scale:g4})");
    }

    /// <summary>Bit for bit: the same shape, dtype and values; NaN equals NaN.</summary>
    public static void Identical(Tensor expected, Tensor actual, string what) => Close(expected, actual, what, 0);
}

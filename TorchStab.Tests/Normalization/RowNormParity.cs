using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Normalization;

/// <summary>One way a tensor can lie in memory.</summary>
public enum Layout
{
    Contiguous,
    ChannelsLast,
    Transposed,
    Sliced,
    Expanded,
}

/// <summary>A normalization of input, weight and bias.</summary>
internal delegate Tensor Norm(Tensor input, Tensor? weight, Tensor? bias);

/// <summary>Holds one implementation against another on random values: output and its strides, every gradient, second derivatives.</summary>
internal static class RowNormParity
{
    /// <summary>Random values of a shape: mean and scale away from 0 and 1, laid out as asked.</summary>
    public static Tensor Draw(long[] shape, Layout layout, ScalarType dtype)
    {
        int last = shape.Length - 1;
        var t = layout switch
        {
            Layout.ChannelsLast when shape.Length == 4 => randn(shape[0], shape[2], shape[3], shape[1]).permute(0, 3, 1, 2),
            Layout.ChannelsLast when shape.Length == 5 => randn([shape[0], shape[2], shape[3], shape[4], shape[1]]).permute(0, 4, 1, 2, 3),
            Layout.Transposed when last > 0 => randn([.. shape[..(last - 1)], shape[last], shape[last - 1]]).transpose(-1, -2),
            Layout.Sliced => randn([.. shape[..last], 2 * shape[last] + 1]).slice(last, 1, 2 * shape[last] + 1, 2),
            Layout.Expanded => randn([1, .. shape[1..]]).expand(shape),
            _ => randn(shape),
        };
        // Out-of-place operations would make an expanded tensor dense.
        return layout == Layout.Expanded ? t.narrow(0, 0, Math.Min(1, shape[0])).mul(2).add(0.5).to(dtype).expand(shape) : t.mul(2).add(0.5).to(dtype);
    }

    /// <summary>Compares in the dtype of the input; the half types with the other implementation in float32, rounded.</summary>
    public static void Check(Norm ours, Norm theirs, Tensor input, Tensor? weight, Tensor? bias)
    {
        var wide = input.dtype is ScalarType.Float16 or ScalarType.BFloat16 ? ScalarType.Float32 : input.dtype;
        var upstream = randn_like(input, dtype: ScalarType.Float32).to(input.dtype);
        var (output, grads) = Run(ours, input, weight, bias, upstream, input.dtype);
        var (expected, expectedGrads) = Run(theirs, input, weight, bias, upstream, wide);
        double? tolerance = wide == input.dtype ? null : Tolerance.Of(input.dtype);
        Compare.Close(expected.to(input.dtype), output, "output", tolerance);
        Assert.Equal(Strides(theirs(input, weight, bias)), Strides(output));
        string[] names = ["input", "weight", "bias"];
        for (int i = 0; i < names.Length; i++) Compare.Close(expectedGrads[i]?.to(grads[i]!.dtype), grads[i], "gradient of " + names[i], tolerance);
    }

    /// <summary>Compares the gradients of Σ v · (gradient of the input).</summary>
    public static void CheckSecond(Norm ours, Norm theirs, Tensor input, Tensor? weight)
    {
        Tensor upstream = randn_like(input), v = randn_like(input);
        var (expected, actual) = (Second(theirs, input, weight, upstream, v), Second(ours, input, weight, upstream, v));
        foreach (var (e, a) in expected.Zip(actual)) Compare.Close(e, a, "second derivative", Tolerance.SecondDerivative);
    }

    // A dimension of size 1 has no stride that means anything.
    private static long[] Strides(Tensor t) => [.. t.stride().Where((_, d) => t.shape[d] > 1)];

    private static (Tensor output, Tensor?[] grads) Run(Norm norm, Tensor input, Tensor? weight, Tensor? bias, Tensor upstream, ScalarType dtype)
    {
        var x = Leaf(input, dtype)!;
        var (w, b) = dtype == input.dtype ? (Leaf(weight, weight?.dtype), Leaf(bias, bias?.dtype)) : (Leaf(weight, dtype), Leaf(bias, dtype));
        var output = norm(x, w, b);
        output.backward([upstream.to(dtype)]);
        return (output, [x.grad, w?.grad, b?.grad]);
    }

    private static Tensor[] Second(Norm norm, Tensor input, Tensor? weight, Tensor upstream, Tensor v)
    {
        Tensor x = Leaf(input, input.dtype)!, g = Leaf(upstream, upstream.dtype)!;
        var w = Leaf(weight, weight?.dtype);
        Tensor[] sources = w is null ? [x, g] : [x, g, w];
        var grad = autograd.grad([norm(x, w, null)], [x], [g], retain_graph: true, create_graph: true)[0];
        return [.. autograd.grad([(grad * v).sum()], sources)];
    }

    private static Tensor? Leaf(Tensor? t, ScalarType? dtype) => t?.detach().to(dtype!.Value).requires_grad_(true);
}

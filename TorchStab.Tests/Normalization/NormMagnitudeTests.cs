using TorchStab.Normalization;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Normalization;

/// <summary>
/// Values whose squares overflow or vanish. Normalization does not depend on the scale: x · 2ᵏ with eps · 2²ᵏ gives the same output, and gradients
/// that are smaller by 2ᵏ. Both are held against the formula in float64 on values of magnitude 1.
/// </summary>
public class NormMagnitudeTests
{
    internal delegate Tensor Norm(Tensor x, Tensor weight, Tensor bias, double eps);

    internal sealed record Op(long[] Shape, long[] Dims, long[] Affine, Norm Apply, bool Centre = true, bool Relu = false, bool ChannelsLast = false);

    private static Op Batch(long[] shape, bool channelsLast = false) =>
        new(shape, [0, .. Enumerable.Range(2, shape.Length - 2).Select(d => (long)d)], Channels(shape),
        (x, w, b, eps) => stab.nn.functional.batch_norm(x, null, null, w, b, training: true, eps: eps), ChannelsLast: channelsLast);

    private static Op LayerOfChannels(bool channelsLast) => new([3, 20, 4, 5], [1], [1, 20, 1, 1],
        (x, w, b, eps) => LayerNorm2dFunctional.Apply(x, 20, w.flatten(), b.flatten(), eps, mask: null), ChannelsLast: channelsLast);

    internal static readonly Dictionary<string, Op> Ops = new()
    {
        ["layer"] = new([5, 37], [1], [37], (x, w, b, eps) => stab.nn.functional.layer_norm(x, [37], w, b, eps)),
        ["layer of one vector"] = new([9, 16], [1], [16], (x, w, b, eps) => stab.nn.functional.layer_norm(x, [16], w, b, eps)),
        ["layer of long rows"] = new([3, 2100], [1], [2100], (x, w, b, eps) => stab.nn.functional.layer_norm(x, [2100], w, b, eps)),
        ["layer of channels"] = LayerOfChannels(channelsLast: false),
        ["layer of channels last"] = LayerOfChannels(channelsLast: true),
        ["rms"] = new([5, 37], [1], [37], (x, w, b, eps) => stab.nn.functional.rms_norm(x, [37], w, eps) + b, Centre: false),
        ["group"] = new([3, 4, 6, 5], [2, 3, 4], [1, 4, 1, 1], (x, w, b, eps) => stab.nn.functional.group_norm(x, 2, w.flatten(), b.flatten(), eps)),
        ["instance"] = new([3, 4, 6, 5], [2, 3], [1, 4, 1, 1],
            (x, w, b, eps) => stab.nn.functional.instance_norm(x, null, null, w.flatten(), b.flatten(), eps: eps)),
        ["batch of planes"] = Batch([3, 4, 9, 9]),
        ["batch of tiles"] = Batch([9, 4, 3, 3]),
        ["batch of vectors"] = Batch([6, 21]),
        ["batch of channels last"] = Batch([3, 20, 5, 5], channelsLast: true),
        ["masked batch"] = Batch([3, 4, 7]) with
        {
            Apply = (x, w, b, eps) => BatchNormFunctional.Apply(new(x, default, w, b, eps, Training: true) { Mask = ones(1, dtype: ScalarType.Bool) }),
        },
        ["masked layer"] = new([5, 37], [1], [37], (x, w, b, eps) => LayerNormFunctional.Apply(x, [37], w, b, eps, mask: ones(1, dtype: ScalarType.Bool))),
        ["batch with relu"] = Batch([3, 4, 9, 9]) with
        {
            Relu = true,
            Apply = (x, w, b, eps) => BatchNormFunctional.Apply(new(x, default, w, b, eps, Training: true) { Relu = true }),
        },
    };

    // Powers of two, so that scaling rounds nothing; the smallest have no digits to spare and no finite gradient in the dtype.
    private static readonly (ScalarType Dtype, int Power, double Eps)[] Magnitudes =
    [
        (ScalarType.Float32, 66, 1e-5), (ScalarType.Float32, 124, 1e-5), (ScalarType.Float32, -80, 0), (ScalarType.Float32, -100, 1e-60),
        (ScalarType.Float32, -130, 0),
        (ScalarType.BFloat16, 66, 1e-5), (ScalarType.BFloat16, 124, 1e-5), (ScalarType.BFloat16, -100, 0),
        (ScalarType.Float64, 664, 1e-5), (ScalarType.Float64, 1020, 1e-5), (ScalarType.Float64, -700, 0), (ScalarType.Float64, -500, 1e-310),
        (ScalarType.Float64, -1030, 0),
        (ScalarType.Float16, 12, 1e-5), (ScalarType.Float16, -8, 0),
    ];

    public static TheoryData<string> Names => new(Ops.Keys);

    [Theory]
    [MemberData(nameof(Names))]
    public void Kernels_of_every_width_keep_finite_what_is_finite(string name)
    {
        foreach (var width in KernelForm.Widths)
        {
            using var form = KernelForm.Kernel(width: width);
            Hold(name, $"{name}, {width}");
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Tensor_operations_keep_finite_what_is_finite(string name)
    {
        using var form = KernelForm.TensorOps();
        Hold(name, name);
    }

    [Fact]
    public void Other_sets_of_the_same_call_keep_their_values()
    {
        using var scope = NewDisposeScope();
        manual_seed(5);
        var x = randn(6, 33);
        var scales = tensor(new[] { 1f, 1e20f, 1e-20f, 1e38f, 1f, 1f }).unsqueeze(1);
        foreach (var form in new Func<KernelForm>[] { () => KernelForm.Kernel(), KernelForm.TensorOps })
        {
            using (form())
            {
                var y = stab.nn.functional.layer_norm(x * scales, [33]);
                Compare.Close(stab.nn.functional.layer_norm(x, [33], eps: 0)[1], y[1], "1e20");
                Compare.Close(stab.nn.functional.layer_norm(x, [33], eps: 0)[3], y[3], "1e38");
                foreach (long row in new long[] { 0, 4, 5 }) Compare.Close(stab.nn.functional.layer_norm(x, [33])[row], y[row], "1");
                var spoilt = (x * scales).clone();
                spoilt[4, 7] = float.NaN;
                spoilt[5, 7] = float.PositiveInfinity;
                var z = stab.nn.functional.layer_norm(spoilt, [33]);
                Compare.Close(y.narrow(0, 0, 4), z.narrow(0, 0, 4), "beside non-finite rows");
                Assert.False(z.narrow(0, 4, 2).isfinite().any().item<bool>());
            }
        }
    }

    [Fact]
    public void Equal_values_give_the_bias_whatever_their_size()
    {
        using var scope = NewDisposeScope();
        foreach (double value in new[] { 0, 1, 3e38, -3.4028234e38, 1e-45, 1e20 })
        {
            foreach (var form in new Func<KernelForm>[] { () => KernelForm.Kernel(), KernelForm.TensorOps })
            {
                using (form())
                {
                    var x = full(3, 4, 9, 9, value, ScalarType.Float32).requires_grad_();
                    foreach (var y in new[] { stab.nn.functional.layer_norm(x, [9, 9]), stab.nn.functional.group_norm(x, 2),
                        stab.nn.functional.instance_norm(x), stab.nn.functional.batch_norm(x, null, null, training: true) })
                    {
                        Assert.Equal(0, y.abs().max().item<float>());
                        var dx = autograd.grad([y], [x], [randn_like(y)])[0];
                        Assert.True(dx.isfinite().all().item<bool>(), $"gradient at {value}");
                    }
                }
            }
        }
    }

    [Fact]
    public void Second_derivatives_hold_too()
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        var (x, g, v) = (randn(4, 9, ScalarType.Float64), randn(4, 9, ScalarType.Float64), randn(4, 9, ScalarType.Float64));
        double scale = Math.ScaleB(1, 400);
        Compare.Close(Second(x, g, v, 0), Second(x * scale, g, v * scale, 0) * scale, "second derivative", Tolerance.SecondDerivative);

        static Tensor Second(Tensor x, Tensor g, Tensor v, double eps)
        {
            var leaf = x.detach().requires_grad_();
            var dx = autograd.grad([stab.nn.functional.layer_norm(leaf, [9], eps: eps)], [leaf], [g], retain_graph: true, create_graph: true)[0];
            return autograd.grad([dx], [leaf], [v])[0];
        }
    }

    [Fact]
    public void Renormalization_of_large_values_takes_their_deviation()
    {
        using var scope = NewDisposeScope();
        manual_seed(4);
        using var module = stab.nn.BatchRenorm1d(3, rmax: 1e30, dmax: 1e30);
        module.running_var!.fill_(1e38);
        var x = randn(8, 3) * 1e20f;
        Compare.Close((x / MathF.Sqrt(1e38f)), module.call(x), "by the running deviation, far from the bounds");
    }

    private static void Hold(string name, string what)
    {
        var op = Ops[name];
        foreach (var (dtype, power, eps) in Magnitudes)
        {
            using var scope = NewDisposeScope();
            manual_seed(11);
            double scale = Math.ScaleB(1, power);
            var x = Like(randn(op.Shape, ScalarType.Float64) * 0.5 * scale, dtype, op);
            Tensor[] inputs = [x, .. new[] { randn(op.Affine, ScalarType.Float64), randn(op.Affine, ScalarType.Float64) }.Select(t => Like(t, dtype))];
            var gradient = randn(op.Shape, ScalarType.Float64).to(dtype);
            var y = op.Apply(inputs[0], inputs[1], inputs[2], eps);
            var actual = autograd.grad([y], inputs, [gradient]);
            Tensor[] exact = [.. inputs.Select((t, i) =>
                (i == 0 ? t.detach().to(ScalarType.Float64) / scale : t.detach().to(ScalarType.Float64)).requires_grad_())];
            var expected = Formula(op, exact, eps / scale / scale);
            var gradients = autograd.grad([expected], exact, [gradient.to(ScalarType.Float64)]);
            string of = $"{what}, {dtype} · 2^{power}";
            Compare.Close(expected.to(dtype), y, of);
            if (gradients[0].div(scale).to(dtype).isfinite().all().item<bool>())
                Compare.Close(gradients[0].div(scale).to(dtype).to(ScalarType.Float64) * scale, actual[0].to(ScalarType.Float64) * scale, $"{of}: dx",
                    4 * Tolerance.Of(dtype));
            Compare.Close(gradients[1].to(dtype), actual[1], $"{of}: dweight", 4 * Tolerance.Of(dtype));
            Compare.Close(gradients[2].to(dtype), actual[2], $"{of}: dbias", 4 * Tolerance.Of(dtype));
        }
    }

    internal static Tensor Formula(Op op, Tensor[] inputs, double eps)
    {
        long[] shape = op.Shape;
        var x = op.Dims.Length == 3 && op.Dims[0] == 2 ? inputs[0].view(shape[0], 2, shape[1] / 2, shape[2], shape[3]) : inputs[0]; // two groups
        var centred = op.Centre ? x - x.mean(op.Dims, keepdim: true) : x;
        var y = (centred / (centred.square().mean(op.Dims, keepdim: true) + eps).sqrt()).reshape(shape) * Spread(inputs[1], op) + Spread(inputs[2], op);
        return op.Relu ? y.relu() : y;
    }

    private static Tensor Spread(Tensor parameter, Op op) => op.Affine.Length == 1 && op.Dims[0] == 0 ? parameter.view(Channels(op.Shape, 1)) : parameter;

    private static long[] Channels(long[] shape) => [shape[1]];

    private static long[] Channels(long[] shape, long one) => [one, shape[1], .. shape[2..].Select(_ => one)];

    internal static Tensor Like(Tensor values, ScalarType dtype, Op? op = null)
    {
        var t = values.to(dtype);
        if (op is { ChannelsLast: true }) t = t.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2);
        return t.detach().requires_grad_();
    }
}

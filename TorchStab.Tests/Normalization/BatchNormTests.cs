using TorchStab.Tests.Support;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace TorchStab.Tests.Normalization;

/// <summary>functional.batch_norm and instance_norm against libtorch in the same process, and against float64 where libtorch rounds more.</summary>
public class BatchNormTests
{
    private const ScalarType Double = ScalarType.Float64, Single = ScalarType.Float32, Brain = ScalarType.BFloat16, Half = ScalarType.Float16;

    public static TheoryData<int, int, string, ScalarType, bool> Cases
    {
        get
        {
            var data = new TheoryData<int, int, string, ScalarType, bool>();
            int seed = 1000;
            foreach (int rank in new[] { 2, 3, 4, 5 })
                foreach (string layout in NormArguments.Layouts)
                    foreach (var dtype in new[] { Double, Single, Brain, Half })
                        foreach (bool training in new[] { true, false }) data.Add(++seed, rank, layout, dtype, training);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Batch_norm_equals_libtorch(int seed, int rank, string layout, ScalarType dtype, bool training)
    {
        using var scope = NewDisposeScope();
        bool statistics = !training || seed % 3 > 0;
        double momentum = 0.05 + seed % 7 / 10.0, eps = seed % 2 == 0 ? 1e-5 : 1e-3;
        var a = NormArguments.Draw(seed, rank, layout, dtype, statistics);
        ChannelNorm libtorch = (x, m, v, w, b) => F.batch_norm(x, m!, v!, Weight(w, b)!, b!, training, momentum, eps);
        ChannelNorm ours = (x, m, v, w, b) => stab.nn.functional.batch_norm(x, m, v, w, b, training, momentum, eps);
        Check(a, libtorch, ours, seed);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Instance_norm_equals_libtorch(int seed, int rank, string layout, ScalarType dtype, bool use_input_stats)
    {
        using var scope = NewDisposeScope();
        if (rank == 2) rank = 3; // one value for each instance is an error
        bool statistics = !use_input_stats || seed % 3 > 0;
        double momentum = 0.05 + seed % 7 / 10.0, eps = seed % 2 == 0 ? 1e-5 : 1e-3;
        var a = NormArguments.Draw(seed, rank, layout, dtype, statistics);
        ChannelNorm libtorch = (x, m, v, w, b) => F.instance_norm(x, m, v, Weight(w, b), b, use_input_stats, momentum, eps);
        ChannelNorm ours = (x, m, v, w, b) => stab.nn.functional.instance_norm(x, m, v, w, b, use_input_stats, momentum, eps);
        Check(a, libtorch, ours, seed);
    }

    [Theory]
    [InlineData(Brain, true)]
    [InlineData(Brain, false)]
    [InlineData(Half, true)]
    [InlineData(Half, false)]
    public void Mixed_precision_keeps_parameters_and_statistics_in_float32(ScalarType dtype, bool training)
    {
        using var scope = NewDisposeScope();
        var a = NormArguments.Draw(77, 4, "contiguous", Single, true);
        var half = a.Input.to(dtype);
        ChannelNorm exact = (x, m, v, w, b) => stab.nn.functional.batch_norm(x, m, v, w, b, training);
        ChannelNorm mixed = (x, m, v, w, b) => stab.nn.functional.batch_norm(x.to(dtype), m, v, w, b, training).to(Single);
        (a with { Input = half.to(Single) }).Compare(exact, mixed, "mixed", second: false, Tolerance.Of(dtype));
        Assert.Equal(dtype, stab.nn.functional.batch_norm(half, a.Mean, a.Variance, a.Weight, a.Bias, training).dtype);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_large_mean_costs_no_digits_of_a_small_variance(bool instance)
    {
        using var scope = NewDisposeScope();
        manual_seed(5);
        var x = (randn([16, 4, 64], Double) * 1e-2 + 1e4).to(Single);
        Tensor Run(Tensor input, Tensor m, Tensor v) => instance
            ? stab.nn.functional.instance_norm(input, m, v, momentum: 1)
            : stab.nn.functional.batch_norm(input, m, v, training: true, momentum: 1);
        var (mean, variance) = (zeros(4), ones(4));
        var (exactMean, exactVariance) = (zeros(4, Double), ones(4, Double));
        var y = Run(x, mean, variance);
        var exact = Run(x.to(Double), exactMean, exactVariance);
        Compare.Close(ones(4, Double), variance.to(Double) / exactVariance, "variance", Tolerance.LargeMean);
        Compare.Close(ones(4, Double), mean.to(Double) / exactMean, "mean", Tolerance.LargeMean);
        Compare.Close(exact, y.to(Double), "output", Tolerance.Float32);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Non_finite_values_stay_within_their_channel(bool training)
    {
        using var scope = NewDisposeScope();
        manual_seed(6);
        var x = randn(4, 3, 5);
        x[1, 1, 2] = float.NaN;
        x[2, 2, 3] = float.PositiveInfinity;
        var a = new NormArguments(x, zeros(3), ones(3), rand(3), rand(3), randn(4, 3, 5));
        ChannelNorm libtorch = (x, m, v, w, b) => F.batch_norm(x, m!, v!, w!, b!, training);
        ChannelNorm ours = (x, m, v, w, b) => stab.nn.functional.batch_norm(x, m, v, w, b, training);
        var e = NormResult.Of(libtorch, a, second: false).Tensors;
        var r = NormResult.Of(ours, a, second: false).Tensors;
        foreach (string name in new[] { "output", "running_mean", "running_var" }) Compare.Close(e[name], r[name], name);
        Assert.True(r["output"].isfinite().all(dim: 2).all(dim: 0)[0].item<bool>());
        Assert.True(r["grad_input"][TensorIndex.Colon, 0].isfinite().all().item<bool>());
        Assert.True(r["grad_weight"][0].isfinite().item<bool>());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_input_without_elements_gives_zero_gradients_and_leaves_the_statistics(bool training)
    {
        using var scope = NewDisposeScope();
        foreach (long[] shape in new long[][] { [0, 3], [0, 3, 4], [2, 3, 0, 5], [4, 0, 2] })
        {
            var a = new NormArguments(zeros(shape), full(shape[1], 2f), full(shape[1], 3f), randn(shape[1]), randn(shape[1]), zeros(shape));
            foreach (ChannelNorm norm in new ChannelNorm[]
            {
                (x, m, v, w, b) => stab.nn.functional.batch_norm(x, m, v, w, b, training),
                (x, m, v, w, b) => stab.nn.functional.instance_norm(x, m, v, w, b, training && x.dim() > 2),
            })
            {
                var r = NormResult.Of(norm, a, second: false).Tensors;
                Assert.Equal(shape, r["output"].shape);
                Compare.Identical(a.Mean!, r["running_mean"], "mean");
                Compare.Identical(a.Variance!, r["running_var"], "variance");
                foreach (string name in new[] { "weight", "bias" }) Compare.Identical(zeros(shape[1]), r["grad_" + name], name);
                Assert.Equal(shape, r["grad_input"].shape);
            }
        }
    }

    [Fact]
    public void Gradients_of_some_of_the_inputs_and_none_without_grad()
    {
        using var scope = NewDisposeScope();
        var a = NormArguments.Draw(9, 3, "contiguous", Double, true) with { Weight = rand(3, Double), Bias = rand(3, Double) };
        a = a with { Input = randn([4, 3, 5], Double), Upstream = randn([4, 3, 5], Double), Mean = null, Variance = null };
        var all = NormResult.Of((x, m, v, w, b) => F.batch_norm(x, null!, null!, w!, b!, true), a, second: false).Tensors;
        var weight = a.Weight!.detach().requires_grad_(true);
        var only = autograd.grad([stab.nn.functional.batch_norm(a.Input, null, null, weight, a.Bias, true)], [weight], [a.Upstream]);
        Compare.Close(all["grad_weight"], only[0], "weight alone");
        using (no_grad()) Assert.False(stab.nn.functional.batch_norm(a.Input, null, null, weight, a.Bias, true).requires_grad);
        using (inference_mode()) Compare.Close(all["output"], stab.nn.functional.batch_norm(a.Input, null, null, weight, a.Bias, true), "inference mode");
    }

    private static void Check(NormArguments a, ChannelNorm libtorch, ChannelNorm ours, int seed)
    {
        bool half = a.Input.dtype is Brain or Half;
        if (!half)
        {
            a.Compare(libtorch, ours, $"seed {seed}", second: a.Input.dtype == Double);
            return;
        }
        // libtorch's half gradients are rounded more than once: ours must be the exact ones, rounded.
        var e = NormResult.Of(libtorch, a.To(Double), second: false).Tensors;
        var r = NormResult.Of(ours, a, second: false).Tensors;
        foreach (var (name, value) in e) Compare.Close(value.to(a.Input.dtype), r[name], $"seed {seed}: {name}");
        using var _ = no_grad();
        Assert.Equal(NormArguments.Strides(libtorch(a.Input, a.Mean?.clone(), a.Variance?.clone(), a.Weight, a.Bias)), NormArguments.Strides(r["output"]));
    }

    // libtorch's second derivatives abort the process where there is a bias without a weight.
    private static Tensor? Weight(Tensor? weight, Tensor? bias) => weight ?? (bias is null ? null : ones_like(bias.detach()));
}

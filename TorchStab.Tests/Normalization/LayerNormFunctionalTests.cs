using TorchStab.Tests.Support;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace TorchStab.Tests.Normalization;

public class LayerNormFunctionalTests : InOneForm
{
    public LayerNormFunctionalTests() : base(null) { }

    private protected LayerNormFunctionalTests(KernelForm form) : base(form) { }

    private static readonly ScalarType[] Dtypes = [ScalarType.Float64, ScalarType.Float32, ScalarType.BFloat16, ScalarType.Float16];

    public static TheoryData<int, string, ScalarType> Draws
    {
        get
        {
            var data = new TheoryData<int, string, ScalarType>();
            foreach (var (i, layout) in NormArguments.Layouts.Index())
                foreach (var dtype in Dtypes) data.Add(10 * i + (int)dtype, layout, dtype);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Draws))]
    public void Equals_libtorch_on_random_shapes_values_and_layouts(int seed, string layout, ScalarType dtype)
    {
        for (int i = 0; i < 5; i++)
        {
            using var scope = NewDisposeScope();
            random.manual_seed(seed + 1000 * i);
            var dice = new Random(seed + 1000 * i);
            int rank = layout == "channels_last" ? 4 : dice.Next(1, 6);
            long[] shape = [.. Enumerable.Range(0, rank).Select(_ => (long)dice.Next(1, 7))];
            long[] normalized = shape[^dice.Next(1, rank + 1)..];
            // Two nearly equal values under a tiny eps magnify rounding a thousandfold: only double has digits for that.
            double eps = Math.Pow(10, -(dtype == ScalarType.Float64 ? dice.Next(2, 7) : dice.Next(1, 3)));
            var input = NormArguments.Arrange(shape, layout, dtype);
            // Mixed precision as well: float32 parameters beside a half input.
            var parameters = dice.Next(2) == 0 ? Moments(dtype) : dtype;
            Tensor? weight = dice.Next(4) == 0 ? null : randn(normalized).to(parameters), bias = dice.Next(4) == 0 ? null : randn(normalized).to(parameters);
            ChannelNorm theirs = (x, _, _, w, b) => F.layer_norm(x, normalized, w, b, eps),
                ours = (x, _, _, w, b) => stab.nn.functional.layer_norm(x, normalized, w, b, eps);
            NormArguments.Of(input, weight, bias).Compare(theirs, ours, $"{i}", second: false, rounded: true);
            if (dtype == ScalarType.Float64) NormArguments.Of(input, weight).Compare(theirs, ours, $"{i}", second: true);
        }

        static ScalarType Moments(ScalarType dtype) => dtype is ScalarType.Float64 ? dtype : ScalarType.Float32;
    }

    [Theory]
    [InlineData(0, 4)]
    [InlineData(3, 0)]
    [InlineData(0, 0)]
    public void Empty_inputs_give_empty_outputs_and_zero_gradients(long rows, long features)
    {
        using var scope = NewDisposeScope();
        Tensor x = empty(rows, features, requires_grad: true), w = ones([features], requires_grad: true), b = zeros([features], requires_grad: true);
        var y = stab.nn.functional.layer_norm(x, [features], w, b);
        Assert.Equal([rows, features], y.shape);
        y.backward([ones_like(y)]);
        Compare.Identical(zeros(features), w.grad!, "weight");
        Compare.Identical(zeros(features), b.grad!, "bias");
        Assert.Equal([rows, features], x.grad!.shape);
    }

    [Fact]
    public void A_value_that_is_no_number_stays_within_its_row()
    {
        using var scope = NewDisposeScope();
        var x = randn(4, 6);
        x[1, 2] = double.NaN;
        x[2, 0] = double.PositiveInfinity;
        x.requires_grad_(true);
        var y = stab.nn.functional.layer_norm(x, [6]);
        y.backward([randn_like(y)]);
        foreach (var t in new[] { y, x.grad! })
            Assert.Equal([true, false, false, true], t.isfinite().all(1).data<bool>().ToArray());
        Compare.Close(F.layer_norm(x, [6]), y, "output");
    }

    [Fact]
    public void Float32_is_as_accurate_beside_a_large_mean_as_in_double()
    {
        using var scope = NewDisposeScope();
        var x = (randn(64, 768, ScalarType.Float64) * 1e-2 + 1e4).to(ScalarType.Float32);
        var exact = F.layer_norm(x.to(ScalarType.Float64), [768]);
        double ours = (stab.nn.functional.layer_norm(x, [768]).to(ScalarType.Float64) - exact).abs().max().item<double>();
        double libtorch = (F.layer_norm(x, [768]).to(ScalarType.Float64) - exact).abs().max().item<double>();
        Assert.True(ours <= Tolerance.Float32 && ours <= libtorch, $"off by {ours:g3}, libtorch by {libtorch:g3}");
    }

    [Fact]
    public void Only_the_asked_gradients_are_computed_and_no_graph_is_kept_without()
    {
        using var scope = NewDisposeScope();
        Tensor x = randn(3, 4), w = randn([4], requires_grad: true), b = randn(4);
        var y = stab.nn.functional.layer_norm(x, [4], w, b);
        y.backward([randn_like(y)]);
        Assert.True(w.grad is not null && x.grad is null && b.grad is null);
        using (no_grad()) Assert.False(stab.nn.functional.layer_norm(x, [4], w, b).requires_grad);
        using (inference_mode()) Compare.Close(y.detach(), stab.nn.functional.layer_norm(x, [4], w, b), "inference");
    }

    [Fact]
    public void Changing_the_output_in_place_leaves_gradients_right()
    {
        using var scope = NewDisposeScope();
        NormArguments.Of(randn(4, 5, ScalarType.Float64), randn(5, ScalarType.Float64), randn(5, ScalarType.Float64)).Compare(
            (x, _, _, w, b) => F.layer_norm(x, [5], w, b).mul(2).relu(), (x, _, _, w, b) => stab.nn.functional.layer_norm(x, [5], w, b).mul_(2).relu_(),
            "changed in place", second: false);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Nothing_is_left_alive(bool within)
    {
        using var x = randn(3, 4, requires_grad: true);
        using var w = randn(4);
        LiveTensors.AssertNoneLeft(() =>
        {
            using var scope = within ? NewDisposeScope() : null;
            using var y = stab.nn.functional.layer_norm(x, [4], w);
            y.backward([y]);
        });
    }
}

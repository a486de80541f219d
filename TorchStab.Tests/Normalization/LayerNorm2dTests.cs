using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Normalization;

/// <summary>LayerNorm2d against TorchSharp's LayerNorm on the permuted input.</summary>
public class LayerNorm2dTests
{
    public static TheoryData<ScalarType, bool, bool> Cases
    {
        get
        {
            var data = new TheoryData<ScalarType, bool, bool>();
            foreach (var dtype in new[] { ScalarType.Float64, ScalarType.Float32, ScalarType.BFloat16, ScalarType.Float16 })
                foreach (bool channelsLast in new[] { false, true })
                    foreach (bool affine in new[] { false, true }) data.Add(dtype, channelsLast, affine);
            return data;
        }
    }

    [Theory, MemberData(nameof(Cases))]
    public void It_is_layer_norm_of_the_permuted_input(ScalarType dtype, bool channelsLast, bool affine)
    {
        using var scope = NewDisposeScope();
        manual_seed(7);
        var module = stab.nn.LayerNorm2d(6, affine: affine, dtype: dtype);
        var reference = nn.LayerNorm(6, eps: 1e-6, elementwise_affine: affine, dtype: dtype);
        if (affine)
            using (no_grad())
                foreach (var (ours, theirs) in module.parameters().Zip(reference.parameters())) theirs.copy_(ours.copy_(randn(6, dtype: dtype)));
        var values = (randn(3, 6, 4, 5) * 3 + 2).to(dtype);
        if (channelsLast) values = values.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2);
        var (x, other) = (values.detach().requires_grad_(), values.detach().contiguous().requires_grad_());
        var upstream = randn(3, 6, 4, 5).to(dtype);
        var y = module.call(x);
        var expected = reference.call(other.permute(0, 2, 3, 1)).permute(0, 3, 1, 2);
        Assert.Equal(channelsLast ? values.stride() : [120, 20, 5, 1], y.stride());
        y.backward([upstream]);
        expected.backward([upstream]);
        Tensor[] got = [y, x.grad!, .. module.parameters().Select(p => p.grad!)],
            wanted = [expected, other.grad!, .. reference.parameters().Select(p => p.grad!)];
        // sums of 60 rounded terms
        double allowed = dtype switch { ScalarType.Float64 => 1e-10, ScalarType.Float32 => 1e-5, ScalarType.BFloat16 => 1.0 / 32, _ => 1.0 / 256 };
        for (int i = 0; i < wanted.Length; i++)
        {
            double off = (got[i].to(ScalarType.Float64) - wanted[i].to(ScalarType.Float64)).abs().max().item<double>() / wanted[i].to(ScalarType.Float64).abs()
                .max().item<double>();
            Assert.True(off <= allowed, $"tensor {i} is off by {off}");
        }
    }

    [Fact]
    public void Masked_channels_do_not_count()
    {
        using var scope = NewDisposeScope();
        manual_seed(8);
        var module = stab.nn.LayerNorm2d(6, affine: false, dtype: ScalarType.Float64);
        var x = randn(2, 6, 3, 3, ScalarType.Float64);
        var mask = arange(6).lt(4).reshape(1, 6, 1, 1);
        var part = stab.nn.LayerNorm2d(4, affine: false, dtype: ScalarType.Float64).call(x.narrow(1, 0, 4));
        Assert.True((module.forward(x, mask).narrow(1, 0, 4) - part).abs().max().item<double>() < 1e-12);
        Assert.Equal("mask", Assert.Throws<ArgumentNullException>(() => module.forward(x, null!)).ParamName);
    }

    [Fact]
    public void It_is_differentiable_twice()
    {
        using var scope = NewDisposeScope();
        manual_seed(9);
        var module = stab.nn.LayerNorm2d(3, dtype: ScalarType.Float64);
        var x = randn(2, 3, 2, 2, ScalarType.Float64).requires_grad_();
        var (upstream, direction) = (randn_like(x), randn_like(x));
        var first = autograd.grad([(module.call(x) * upstream).sum()], [x], create_graph: true)[0];
        var second = autograd.grad([(first * direction).sum()], [x])[0];
        const double h = 1e-6;
        var numeric = (Gradient(x + h * direction) - Gradient(x - h * direction)) / (2 * h);
        Assert.True((second - numeric).abs().max().item<double>() < 1e-6 * (1 + second.abs().max().item<double>())); // h² and rounding over h

        Tensor Gradient(Tensor at)
        {
            var leaf = at.detach().requires_grad_();
            return autograd.grad([(module.call(leaf) * upstream).sum()], [leaf])[0];
        }
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        using var scope = NewDisposeScope();
        var module = stab.nn.LayerNorm2d(6);
        Assert.Equal("input", Assert.Throws<ArgumentException>(() => module.call(ones(2, 6, 4))).ParamName);
        Assert.Contains("(N, 6, H, W), got [2, 4, 4, 6]", Assert.Throws<ArgumentException>(() => module.call(ones(2, 4, 4, 6))).Message);
        Assert.Throws<ArgumentException>(() => module.call(ones(2, 6, 4, 4, ScalarType.Float64)));
        Assert.Equal("num_channels", Assert.Throws<ArgumentOutOfRangeException>(() => stab.nn.LayerNorm2d(0)).ParamName);
    }

    [Fact]
    public void It_is_a_norm_to_the_rest_of_the_library()
    {
        using var scope = NewDisposeScope();
        var norm = stab.nn.LayerNorm2d(6);
        Assert.Equal("LayerNorm2d(6, eps=1e-06, affine=True)", norm.ToString());
        Assert.Equal(["weight", "bias"], norm.state_dict().Keys);
        var model = nn.Sequential(("conv", nn.Conv2d(3, 6, 3)), ("norm", norm), ("act", nn.ReLU()));
        using (no_grad()) norm.weight.fill_(3);
        stab.nn.init.initialize_(model);
        Assert.Equal(1, norm.weight.mean().item<float>());
        model.eval();
        stab.nn.utils.fuse_norms(model, out var report, randn(2, 3, 8, 8));
        Assert.Empty(report.Changes);
        Assert.Equal([2, 6, 6, 6], model.call(randn(2, 3, 8, 8)).shape);
        Assert.Equal([0, 6, 4, 4], norm.call(zeros(0, 6, 4, 4)).shape);
    }

    [Fact]
    public void Nothing_is_left()
    {
        using var norm = stab.nn.LayerNorm2d(6);
        using var x = ones(2, 6, 4, 4);
        LiveTensors.AssertNoneLeft(() => norm.call(x).Dispose());
    }
}

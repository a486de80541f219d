using TorchSharp.Modules;
using TorchStab.Dispatch;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Dispatch;

/// <summary>A negative view, as the imaginary part of a conjugate is one, holds the other sign in memory: whoever reads memory asks.</summary>
public class PlainMemoryTests
{
    private static readonly jit.CompilationUnit Made = jit.compile("def negative(x):\n    return torch._neg_view(x)\n");

    private static readonly (string Name, Func<Tensor, Tensor, Tensor, Tensor> Run)[] Norms =
    [
        ("layer", (x, w, b) => stab.nn.functional.layer_norm(x, [4], w, b)),
        ("rms", (x, w, _) => stab.nn.functional.rms_norm(x, [4], w)),
        ("group", (x, w, b) => stab.nn.functional.group_norm(x, 2, w, b)),
        ("batch", (x, w, b) => stab.nn.functional.batch_norm(x, null, null, w, b, training: true)),
        ("eval", (x, w, b) => stab.nn.functional.batch_norm(x, b, w.square(), w, b, training: false)),
        ("instance", (x, w, b) => stab.nn.functional.instance_norm(x, weight: w, bias: b)),
    ];

    public static TheoryData<int, bool, bool> Forms
    {
        get
        {
            TheoryData<int, bool, bool> forms = [];
            for (int i = 0; i < Norms.Length; i++)
                foreach (bool last in new[] { false, true })
                    foreach (bool wide in new[] { false, true }) forms.Add(i, last, wide);
            return forms;
        }
    }

    [Theory]
    [MemberData(nameof(Forms))]
    public void Norms_read_negative_views_as_what_they_mean(int norm, bool channelsLast, bool wide)
    {
        using var scope = NewDisposeScope();
        var dtype = wide ? ScalarType.Float64 : ScalarType.Float32;
        Tensor[] given = [Negative(dtype, 2, 4, 4, 4), Negative(dtype, 4), Negative(dtype, 4)];
        var gradient = Negative(dtype, 2, 4, 4, 4);
        if (channelsLast) (given[0], gradient) = (given[0].permute(0, 3, 1, 2), gradient.permute(0, 3, 1, 2));
        Assert.All(given, t => Assert.True(t.is_neg()));
        for (int which = 0; which < 4; which++)
        {
            var (output, gradients) = Run(norm, [.. given.Select((t, i) => i == which ? t.detach() : t.detach().clone())], which == 3 ? gradient
                : gradient.clone());
            var (expected, right) = Run(norm, [.. given.Select(t => t.detach().clone())], gradient.clone());
            Compare.Close(expected, output, $"{Norms[norm].Name}, {which}");
            for (int i = 0; i < right.Count; i++) Compare.Close(right[i], gradients[i], $"{Norms[norm].Name}, {which}: gradient {i}");
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(40)]
    public void A_step_goes_down_a_gradient_that_is_a_negative_view(int size)
    {
        foreach (var make in Make.Optimizers.Values)
        {
            using var scope = NewDisposeScope();
            var (one, two) = (new Parameter(ones(size)), new Parameter(ones(size)));
            one.grad = Negative(ScalarType.Float32, size);
            two.grad = one.grad.clone();
            Assert.True(one.grad.is_neg());
            using var a = make([("one", one)]);
            using var b = make([("two", two)]);
            a.step();
            b.step();
            Compare.Close(two, one, a.GetType().Name);
            Assert.Equal(b.LastStep.GradNorm, a.LastStep.GradNorm, 4);
        }
    }

    [Fact]
    public void Clipping_and_running_statistics_keep_the_sign()
    {
        using var scope = NewDisposeScope();
        var parameter = new Parameter(ones(3)) { grad = Negative(ScalarType.Float32, 3) };
        var before = parameter.grad.clone();
        double norm = stab.nn.utils.clip_grad_norm_([parameter], 0.1);
        Compare.Close(before * (0.1 / (norm + 1e-6)), parameter.grad, "clipped");
        var (mean, variance) = (Negative(ScalarType.Float32, 3), ones(3));
        var expected = mean.clone() * 0.9 + 0.2;
        stab.nn.functional.batch_norm(full([4, 3], 2f), mean, variance, training: true);
        Compare.Close(expected, mean.clone(), "running mean");
        Assert.Equal(0, stab.nn.init.zeros_(Negative(ScalarType.Float32, 3)).abs().sum().item<float>());
    }

    [Fact]
    public void A_pass_over_planes_in_parts_is_the_same()
    {
        using var scope = NewDisposeScope();
        var x = randn(7, 3, 5, 5);
        var (mean, variance) = (randn(3), rand(3) + 0.5);
        var expected = stab.nn.functional.batch_norm(x, mean, variance);
        try
        {
            ChannelNormLaunch.MostItems = 7;
            Compare.Identical(expected, stab.nn.functional.batch_norm(x, mean, variance), "two samples at a time");
        }
        finally
        {
            ChannelNormLaunch.MostItems = int.MaxValue;
        }
    }

    /// <summary>Sizes of which a kernel's int arithmetic would overflow go to tensor operations; 33,000,000 × 66 × 1 does not.</summary>
    [Fact]
    public void No_product_of_sizes_leaves_an_int()
    {
        const long most = int.MaxValue;
        Assert.True(NormSelection.FitsChannels(33_000_000L * 66, 33_000_000, 66));
        Assert.False(NormSelection.FitsChannels(most, 1, most));
        Assert.False(NormSelection.FitsChannels(0, 0, 5));
        Assert.False(NormSelection.FitsChannels(most * 4, 2, 100));
        Assert.False(NormSelection.FitsRows(most, 1));
        Assert.True(NormSelection.FitsRows(2_000_000_000, 1));
        Assert.False(NormSelection.FitsRows(most, most));
        Assert.False(NormSelection.FitsRows(0, 3));
    }

    private static (Tensor Output, List<Tensor> Gradients) Run(int norm, Tensor[] given, Tensor gradient)
    {
        foreach (var t in given) t.requires_grad_(true);
        var output = Norms[norm].Run(given[0], given[1], given[2]);
        output.backward([gradient]);
        return (output, [.. given.Select(t => t.grad).Where(t => t is not null).Select(t => t!)]);
    }

    // What .imag of a conjugate is, without its gaps.
    private static Tensor Negative(ScalarType dtype, params long[] shape) => (Tensor)Made.invoke("negative", randn(shape, dtype));
}

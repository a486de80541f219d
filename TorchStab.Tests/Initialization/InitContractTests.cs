using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Initialization;

/// <summary>What every scheme promises beside its numbers: the tensor's identity, flags, layout, the stream, and no leak.</summary>
public class InitContractTests
{
    private static readonly Dictionary<string, Func<Tensor, Generator?, Tensor>> Matrix = new()
    {
        ["uniform_"] = (t, g) => stab.nn.init.uniform_(t, -1, 2, g),
        ["normal_"] = (t, g) => stab.nn.init.normal_(t, 1, 2, g),
        ["trunc_normal_"] = (t, g) => stab.nn.init.trunc_normal_(t, 0, 1, -1, 1, g),
        ["xavier_uniform_"] = (t, g) => stab.nn.init.xavier_uniform_(t, 2, g),
        ["xavier_normal_"] = (t, g) => stab.nn.init.xavier_normal_(t, 2, g),
        ["glorot_uniform_"] = (t, g) => stab.nn.init.glorot_uniform_(t, 2, g),
        ["glorot_normal_"] = (t, g) => stab.nn.init.glorot_normal_(t, 2, g),
        ["kaiming_uniform_"] = (t, g) => stab.nn.init.kaiming_uniform_(t, generator: g),
        ["kaiming_normal_"] = (t, g) => stab.nn.init.kaiming_normal_(t, generator: g),
        ["he_uniform_"] = (t, g) => stab.nn.init.he_uniform_(t, generator: g),
        ["he_normal_"] = (t, g) => stab.nn.init.he_normal_(t, generator: g),
        ["lecun_uniform_"] = stab.nn.init.lecun_uniform_,
        ["lecun_normal_"] = stab.nn.init.lecun_normal_,
        ["variance_scaling_"] = (t, g) => stab.nn.init.variance_scaling_(t, 2, FanMode.FanAvg, generator: g),
        ["orthogonal_"] = (t, g) => stab.nn.init.orthogonal_(t, 2, g),
        ["sparse_"] = (t, g) => stab.nn.init.sparse_(t, 0.3, 0.5, g),
        ["constant_"] = (t, _) => stab.nn.init.constant_(t, 0.5),
        ["ones_"] = (t, _) => stab.nn.init.ones_(t),
        ["zeros_"] = (t, _) => stab.nn.init.zeros_(t),
        ["eye_"] = (t, _) => stab.nn.init.eye_(t),
    };

    public static TheoryData<string> Schemes => [.. Matrix.Keys];

    [Theory, MemberData(nameof(Schemes))]
    public void Leaf_with_gradient_keeps_identity_and_flags(string scheme)
    {
        using var scope = NewDisposeScope();
        var trained = new Parameter(rand(6, 5));
        var frozen = new Parameter(rand(6, 5), requires_grad: false);
        trained.sum().backward();
        Assert.Same(trained, Matrix[scheme](trained, null));
        Assert.Same(frozen, Matrix[scheme](frozen, null));
        Assert.True(trained.requires_grad && trained.is_leaf && trained.grad is not null);
        Assert.False(frozen.requires_grad);
        Assert.True(is_grad_enabled());
        trained.pow(2).sum().backward();
    }

    /// <summary>A view of the right size is filled as it stands; what lies between its elements stays.</summary>
    [Theory, MemberData(nameof(Schemes))]
    public void Strided_destination_is_filled_in_place(string scheme)
    {
        using var scope = NewDisposeScope();
        var storage = full([9, 12], double.NaN);
        var view = storage.slice(0, 0, 9, 2).slice(1, 0, 12, 3);
        Matrix[scheme](view, null);
        Assert.False(view.isnan().any().item<bool>());
        Assert.Equal(9 * 12 - view.NumberOfElements, storage.isnan().sum().item<long>());
    }

    [Theory, MemberData(nameof(Schemes))]
    public void Generator_decides_and_the_global_stream_stays(string scheme)
    {
        using var scope = NewDisposeScope();
        using var one = new Generator(11);
        using var two = new Generator(11);
        manual_seed(1);
        var a = Matrix[scheme](empty(20, 17), one);
        var next = rand(3);
        manual_seed(1);
        Compare.Identical(next, rand(3), "the global stream");
        Compare.Identical(a, Matrix[scheme](empty(20, 17), two), "the same generator seed");
        Compare.Identical(rand(3, generator: one), rand(3, generator: two), "the generator's stream");
    }

    [Theory, MemberData(nameof(Schemes))]
    public void Nothing_leaks(string scheme)
    {
        using var w = empty(12, 10);
        LiveTensors.AssertNoneLeft(() => Matrix[scheme](w, null));
        LiveTensors.AssertNoneLeft(() =>
        {
            using var scope = NewDisposeScope();
            Matrix[scheme](w, null);
            Assert.Equal(0, scope.DisposablesCount);
        });
    }

    [Theory]
    [InlineData("uniform_")]
    [InlineData("normal_")]
    [InlineData("trunc_normal_")]
    [InlineData("kaiming_uniform_")]
    [InlineData("kaiming_normal_")]
    [InlineData("lecun_normal_")]
    [InlineData("variance_scaling_")]
    [InlineData("orthogonal_")]
    [InlineData("sparse_")]
    [InlineData("zeros_")]
    [InlineData("eye_")]
    public void Empty_tensor_is_left_alone_and_takes_nothing_of_the_stream(string scheme)
    {
        using var scope = NewDisposeScope();
        manual_seed(1);
        var next = rand(3);
        manual_seed(1);
        foreach (var shape in new long[][] { [0, 4], [4, 0], [0, 0] })
        {
            var w = empty(shape);
            Assert.Same(w, Matrix[scheme](w, null));
        }

        Compare.Identical(next, rand(3), "the stream");
    }

    [Fact]
    public void Xavier_takes_an_empty_tensor_unless_both_fans_are_zero()
    {
        using var scope = NewDisposeScope();
        stab.nn.init.xavier_uniform_(empty(0, 4));
        stab.nn.init.xavier_normal_(empty(4, 0, 3));
        var error = Assert.Throws<ArgumentException>("tensor", () => stab.nn.init.xavier_uniform_(empty(0, 0)));
        Assert.Contains("float division by zero", error.Message, StringComparison.Ordinal);
    }

    /// <summary>He and LeCun leave an empty tensor alone before they look at its rank, as PyTorch's kaiming does.</summary>
    [Fact]
    public void Kaiming_takes_an_empty_vector()
    {
        using var w = empty(0);
        Assert.Same(w, stab.nn.init.kaiming_uniform_(w));
        Assert.Same(w, stab.nn.init.kaiming_normal_(w));
    }

    /// <summary>Around 16 elements libtorch changes from one-by-one to blocks, and only for contiguous tensors: ours go the same way.</summary>
    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float16)]
    public void Sizes_around_a_block_and_layouts_draw_what_the_tensor_method_draws(ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        foreach (long n in new long[] { 1, 7, 15, 16, 17, 31, 32, 33, 100 })
        {
            foreach (var make in new Func<Tensor>[] { () => zeros(n, 2, dtype), () => zeros(2, n, dtype).t(), () => zeros(n, 4, dtype).slice(1, 0, 4, 2) })
            {
                double std = Math.Sqrt(2.0 / (n + 2));
                manual_seed(n);
                var expected = make().normal_(0, std);
                var bounds = make().uniform_(-Math.Sqrt(3) * std, Math.Sqrt(3) * std);
                manual_seed(n);
                Compare.Identical(expected, stab.nn.init.xavier_normal_(make()), $"normal {n}");
                Compare.Identical(bounds, stab.nn.init.xavier_uniform_(make()), $"uniform {n}");
            }
        }
    }
}

using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Normalization;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Amp;

/// <summary>Autocast on the CPU: which operations it casts, what a region leaves behind, and training inside one.</summary>
public class AutocastTests
{
    /// <summary>Operations by name, on float32 inputs, and the dtype that PyTorch's list for the CPU gives them in bfloat16.</summary>
    private static readonly Dictionary<string, (Func<Tensor> Run, ScalarType Expected)> Operations = new()
    {
        ["linear"] = (() => nn.functional.linear(X(3, 4), X(5, 4), X(5)), ScalarType.BFloat16),
        ["mm"] = (() => X(3, 4).mm(X(4, 3)), ScalarType.BFloat16),
        ["bmm"] = (() => X(2, 3, 4).bmm(X(2, 4, 3)), ScalarType.BFloat16),
        ["matmul"] = (() => matmul(X(3, 4), X(4, 3)), ScalarType.BFloat16),
        ["addmm"] = (() => addmm(X(3, 3), X(3, 4), X(4, 3), 1, 1), ScalarType.BFloat16),
        ["conv1d"] = (() => nn.functional.conv1d(X(1, 16, 8), X(16, 16, 3)), ScalarType.BFloat16),
        ["conv2d"] = (() => nn.functional.conv2d(X(1, 16, 8, 8), X(16, 16, 3, 3)), ScalarType.BFloat16),
        ["conv_transpose2d"] = (() => nn.functional.conv_transpose2d(X(1, 16, 8, 8), X(16, 16, 3, 3)), ScalarType.BFloat16),
        ["scaled_dot_product_attention"] = (() => nn.functional.scaled_dot_product_attention(X(1, 2, 4, 8), X(1, 2, 4, 8), X(1, 2, 4, 8)), ScalarType.BFloat16),
        ["mse_loss of halves"] = (() => nn.functional.mse_loss(Half(3, 4), Half(3, 4)), ScalarType.Float32),
        ["binary_cross_entropy of halves"] = (() => nn.functional.binary_cross_entropy(Half(3, 4).sigmoid(), Half(3, 4).sigmoid()), ScalarType.Float32),
        ["cat of a half and a float"] = (() => cat([Half(3, 4), X(3, 4)]), ScalarType.Float32),
        ["stack of a half and a float"] = (() => stack([Half(3, 4), X(3, 4)]), ScalarType.Float32),
        ["relu"] = (() => X(3, 4).relu(), ScalarType.Float32),
        ["relu of halves"] = (() => Half(3, 4).relu(), ScalarType.BFloat16),
        ["float64"] = (() => X(3, 4).to(ScalarType.Float64).mm(X(4, 3).to(ScalarType.Float64)), ScalarType.Float64),
    };

    public static TheoryData<string> Names => [.. Operations.Keys];

    [Theory, MemberData(nameof(Names))]
    public void Operations_run_in_the_dtype_of_PyTorchs_lists(string name)
    {
        using var scope = NewDisposeScope();
        using var region = stab.amp.autocast();
        Assert.Equal(Operations[name].Expected, Operations[name].Run().dtype);
    }

    [Fact]
    public void A_region_restores_what_was_before_it()
    {
        Assert.Equal(ScalarType.Float32, Product());
        using (stab.amp.autocast(DeviceType.CPU, ScalarType.Float16))
        {
            Assert.Equal(ScalarType.Float16, Product());
            using (stab.amp.autocast()) Assert.Equal(ScalarType.Float16, Product()); // null is the dtype around
            using (stab.amp.autocast(dtype: ScalarType.BFloat16)) Assert.Equal(ScalarType.BFloat16, Product());
            using (stab.amp.autocast(enabled: false))
            {
                Assert.Equal(ScalarType.Float32, Product());
                using (stab.amp.autocast(dtype: ScalarType.BFloat16)) Assert.Equal(ScalarType.BFloat16, Product());
                Assert.Equal(ScalarType.Float32, Product());
            }
            Assert.Equal(ScalarType.Float16, Product());
        }
        Assert.Equal(ScalarType.Float32, Product());
        using (stab.amp.autocast()) Assert.Equal(ScalarType.BFloat16, Product()); // the default again
    }

    [Fact]
    public void An_outer_region_ends_those_that_were_left_open_in_it()
    {
        var outer = stab.amp.autocast();
        var inner = stab.amp.autocast(dtype: ScalarType.Float16);
        outer.Dispose();
        Assert.Equal(ScalarType.Float32, Product());
        inner.Dispose();
        outer.Dispose();
        using (stab.amp.autocast()) Assert.Equal(ScalarType.BFloat16, Product());
        Assert.Equal(ScalarType.Float32, Product());
    }

    [Fact]
    public void An_exception_leaves_the_region()
    {
        Assert.Throws<InvalidOperationException>(Fail);
        Assert.Equal(ScalarType.Float32, Product());

        static void Fail()
        {
            using var region = stab.amp.autocast();
            throw new InvalidOperationException();
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Cast_weights_are_kept_until_the_outermost_region_ends(bool cache_enabled)
    {
        using var scope = NewDisposeScope();
        var (x, weight) = (ones(1, 1), new Parameter(ones(1, 1)));
        using (stab.amp.autocast(cache_enabled: cache_enabled))
        {
            using (stab.amp.autocast(cache_enabled: cache_enabled)) Assert.Equal(1, Product());
            using (no_grad()) weight.fill_(2);
            Assert.Equal(cache_enabled ? 1 : 2, Product());
        }
        using (stab.amp.autocast(cache_enabled: cache_enabled)) Assert.Equal(2, Product());

        float Product() => x.mm(weight).to(ScalarType.Float32).item<float>();
    }

    [Fact]
    public void A_region_belongs_to_its_thread()
    {
        using var region = stab.amp.autocast();
        ScalarType there = default;
        Exception? refusal = null;
        var thread = new Thread(() =>
        {
            there = Product();
            refusal = Record.Exception(region.Dispose);
        });
        thread.Start();
        thread.Join();
        Assert.Equal(ScalarType.Float32, there);
        Assert.Contains("was opened on thread", Assert.IsType<InvalidOperationException>(refusal).Message);
        Assert.Equal(ScalarType.BFloat16, Product());
    }

    [Fact]
    public void What_has_no_autocast_is_refused()
    {
        var meta = Assert.Throws<ArgumentException>(() => stab.amp.autocast(DeviceType.META));
        Assert.Equal("device_type", meta.ParamName);
        Assert.StartsWith("User specified an unsupported autocast device_type 'meta'", meta.Message);
        Assert.Equal("dtype", Assert.Throws<ArgumentException>(() => stab.amp.autocast(dtype: ScalarType.Float64)).ParamName);
        Assert.Equal("dtype", Assert.Throws<ArgumentException>(() => stab.amp.autocast(dtype: ScalarType.Float32)).ParamName);
        stab.amp.autocast(dtype: ScalarType.Float32, enabled: false).Dispose();
        Assert.True(stab.amp.is_autocast_available(DeviceType.CPU));
        Assert.True(stab.amp.is_autocast_available(DeviceType.CUDA));
        Assert.False(stab.amp.is_autocast_available(DeviceType.META));
        Assert.Equal(ScalarType.Float32, Product());
    }

    [Fact]
    public void Cuda_that_is_missing_is_left_alone()
    {
        using var region = stab.amp.autocast(DeviceType.CUDA);
        Assert.Equal(ScalarType.Float32, Product());
    }

    public static TheoryData<string> Norms => ["BatchNorm1d", "BatchNormReLU1d", "BatchRenorm1d", "LayerNorm", "RMSNorm", "GroupNorm"];

    /// <summary>
    /// Norms keep the dtype that comes, bfloat16 behind a Linear, and gradients of float32 weights are float32 and near those without a region.
    /// </summary>
    [Theory, MemberData(nameof(Norms))]
    public void A_norm_behind_a_Linear_trains_in_a_region(string name)
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        var (layer, norm) = (nn.Linear(8, 8), Norm(name));
        var (x, upstream) = (randn(32, 8), randn(32, 8));
        var plain = Gradients(() => norm.call(layer.call(x)));
        var cast = Gradients(() =>
        {
            using var region = stab.amp.autocast();
            var y = norm.call(layer.call(x));
            Assert.Equal(ScalarType.BFloat16, y.dtype);
            return y;
        });
        for (int i = 0; i < plain.Length; i++)
        {
            Assert.Equal(ScalarType.Float32, cast[i].dtype);
            // bfloat16 has 8 bits, and a gradient is a sum of 32 products of two roundings each; a missing factor would be far beyond.
            double off = (cast[i] - plain[i]).abs().max().item<float>() / (plain[i].abs().max().item<float>() + 1);
            Assert.True(off < 0.1, $"{name}, parameter {i}: off by {off}");
        }

        Tensor[] Gradients(Func<Tensor> forward)
        {
            Tensor[] parameters = [.. layer.parameters(), .. norm.parameters()];
            foreach (var p in parameters) p.grad = null;
            var y = forward();
            y.backward([upstream.to(y.dtype)]);
            return [.. parameters.Select(p => p.grad!.clone())];
        }
    }

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    public void Recurrent_cells_take_the_regions_dtype_beside_float32_weights(ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        var (lstm, gru) = (stab.nn.LayerNormLSTM(4, 6), stab.nn.LayerNormGRU(4, 6));
        var x = randn(5, 3, 4).to(dtype);
        if (dtype == ScalarType.BFloat16) Assert.Throws<ArgumentException>(() => lstm.call(x, null));
        using (stab.amp.autocast())
        {
            lstm.call(x, null).Item1.sum().backward();
            gru.call(x, null).Item1.sum().backward();
        }
        Assert.All(lstm.parameters().Concat(gru.parameters()), p => Assert.Equal(ScalarType.Float32, p.grad!.dtype));
        using (stab.amp.autocast()) Assert.Throws<ArgumentException>(() => lstm.call(x.to(ScalarType.Float64), null));
    }

    /// <summary>What runs on a GPU, by its parts: there libtorch's layer_norm and group_norm take and give float32.</summary>
    [Fact]
    public void Layer_and_group_norm_run_in_float32_where_libtorchs_do()
    {
        Assert.True(AutocastPolicy.IsWidened(DeviceType.CUDA) && AutocastPolicy.IsWidened(DeviceType.MPS) && !AutocastPolicy.IsWidened(DeviceType.CPU));
        using var scope = NewDisposeScope();
        var (x, weight) = (randn(4, 8).to(ScalarType.BFloat16).requires_grad_(), randn(8).to(ScalarType.BFloat16).requires_grad_());
        var y = LayerNormFunctional.ApplyInFloat32(x, [8], weight, null, 1e-5, null);
        Assert.Equal(ScalarType.Float32, y.dtype);
        var expected = stab.nn.functional.layer_norm(x.to(ScalarType.Float32), [8], weight.to(ScalarType.Float32));
        Assert.True(y.equal(expected).all().item<bool>());
        y.backward([randn(4, 8)]);
        Assert.Equal((ScalarType.BFloat16, ScalarType.BFloat16), (x.grad!.dtype, weight.grad!.dtype));
        var grouped = GroupNormFunctional.ApplyInFloat32(x, 2, weight, null, 1e-5);
        Assert.True(grouped.equal(stab.nn.functional.group_norm(x.to(ScalarType.Float32), 2, weight.to(ScalarType.Float32))).all().item<bool>());
    }

    [Fact]
    public void Regions_leave_no_tensor()
    {
        using var layer = nn.Linear(4, 4);
        using var x = ones(2, 4);
        LiveTensors.AssertNoneLeft(() =>
        {
            using var region = stab.amp.autocast();
            layer.forward(x).Dispose();
        });
    }

    private static nn.Module<Tensor, Tensor> Norm(string name) => name switch
    {
        "BatchNorm1d" => stab.nn.BatchNorm1d(8),
        "BatchNormReLU1d" => stab.nn.BatchNormReLU1d(8),
        "BatchRenorm1d" => stab.nn.BatchRenorm1d(8),
        "LayerNorm" => stab.nn.LayerNorm(8),
        "RMSNorm" => stab.nn.RMSNorm(8),
        _ => stab.nn.GroupNorm(2, 8),
    };

    private static ScalarType Product()
    {
        using var scope = NewDisposeScope();
        return X(2, 2).mm(X(2, 2)).dtype;
    }

    private static Tensor X(params long[] shape) => ones(shape);

    private static Tensor Half(params long[] shape) => ones(shape, ScalarType.BFloat16);
}

using TorchSharp;
using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Normalization;

/// <summary>LayerNorm, RMSNorm and GroupNorm as citizens of a TorchSharp program.</summary>
public class RowNormModuleTests
{
    public static TheoryData<string> Kinds => ["LayerNorm", "LayerNorm without bias", "RMSNorm", "GroupNorm"];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Has_PyTorchs_name_keys_and_starting_values(string kind)
    {
        using var module = New(kind);
        Assert.Equal(kind.Split(' ')[0], module.GetName());
        Assert.Equal(module.bias is null ? ["weight"] : ["weight", "bias"], module.state_dict().Keys);
        Assert.Equal(module.state_dict().Keys, module.named_parameters().Select(p => p.name));
        Assert.True(module.weight.eq(1).all().item<bool>() && (module.bias is null || module.bias.eq(0).all().item<bool>()));
        Assert.Equal(kind is "LayerNorm" or "GroupNorm", module.bias is not null);
    }

    [Fact]
    public void Prints_as_PyTorch_prints_it()
    {
        using var layer = stab.nn.LayerNorm([3, 4], eps: 1e-3);
        using var rms = stab.nn.RMSNorm(4);
        using var group = stab.nn.GroupNorm(2, 4, affine: false);
        Assert.Equal("LayerNorm((3, 4), eps=0.001, elementwise_affine=True)", layer.ToString());
        Assert.Equal("RMSNorm((4,), eps=None, elementwise_affine=True)", rms.ToString());
        Assert.Equal("GroupNorm(2, 4, eps=1e-05, affine=False)", group.ToString());
        Assert.Empty(group.parameters());
    }

    [Fact]
    public void Equals_its_torch_nn_twin_both_ways()
    {
        using var scope = NewDisposeScope();
        using var layer = stab.nn.LayerNorm(4);
        using var torchLayer = nn.LayerNorm(4);
        using var group = stab.nn.GroupNorm(2, 4);
        using var torchGroup = nn.GroupNorm(2, 4);
        Randomize(layer);
        Randomize(group);
        torchLayer.load_state_dict(layer.state_dict());
        torchGroup.load_state_dict(group.state_dict());
        var x = randn(3, 4, 5, 4);
        Compare.Close(torchLayer.call(x), layer.call(x), "LayerNorm");
        Compare.Close(torchGroup.call(x), group.call(x), "GroupNorm");
        using (no_grad())
            foreach (var p in torchGroup.parameters()) p.mul_(-2);
        group.load_state_dict(torchGroup.state_dict());
        Compare.Close(torchGroup.call(x), group.call(x), "loaded from the twin");
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Saves_and_loads(string kind)
    {
        using var scope = NewDisposeScope();
        using var saved = New(kind);
        using var loaded = New(kind);
        Randomize(saved);
        using var stream = new MemoryStream();
        saved.save(stream);
        loaded.load(new MemoryStream(stream.ToArray()));
        foreach (var (key, value) in saved.state_dict()) Compare.Identical(value, loaded.state_dict()[key], key);
        var e = Assert.Throws<InvalidOperationException>(() => loaded.load_state_dict(new() { ["weight"] = ones(1), ["bias"] = ones(4) }));
        Assert.Contains("size mismatch for weight", e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Moves_between_dtypes_and_stays_trainable(string kind)
    {
        using var scope = NewDisposeScope();
        using var module = New(kind);
        Randomize(module);
        var x = randn(2, 4, 4);
        var before = module.call(x).to(ScalarType.Float64);
        module.to(ScalarType.Float64);
        Compare.Close(before, module.call(x.to(ScalarType.Float64)), "float64", Tolerance.Float32);
        module.to(ScalarType.BFloat16);
        var y = module.call(x.to(ScalarType.BFloat16));
        y.backward([ones_like(y)]);
        Assert.All(module.parameters(), p => Assert.Equal((ScalarType.BFloat16, ScalarType.BFloat16), (p.dtype, p.grad!.dtype)));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Works_in_a_Sequential_and_never_returns_its_input(string kind)
    {
        using var scope = NewDisposeScope();
        using var plain = kind == "GroupNorm" ? (AffineModule)stab.nn.GroupNorm(2, 4, affine: false) : stab.nn.LayerNorm(4, elementwise_affine: false);
        using var net = nn.Sequential(nn.Linear(4, 4), New(kind), plain, New(kind));
        var x = randn(2, 4, 4);
        Assert.Equal(x.shape, net.call(x).shape);
        foreach (var module in new[] { New(kind), plain })
        {
            using var y = module.call(x);
            Assert.NotEqual(x.Handle, y.Handle);
        }
        Assert.False(x.IsInvalid);
        net.eval();
        net.apply(m => Assert.False(m.training));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Two_threads_evaluate_one_module(string kind)
    {
        using var module = New(kind);
        using var x = randn(8, 4, 4);
        using var expected = module.call(x);
        Parallel.For(0, 16, new ParallelOptions { MaxDegreeOfParallelism = 2 }, _ =>
        {
            using var scope = NewDisposeScope();
            Compare.Identical(expected, module.call(x), kind);
        });
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_frozen_parameter_gets_no_gradient_and_disposing_twice_is_harmless(string kind)
    {
        using var scope = NewDisposeScope();
        var module = New(kind);
        module.weight.requires_grad_(false);
        var x = randn([2, 4, 4], requires_grad: true);
        var y = module.call(x);
        y.backward([randn_like(y)]);
        Assert.Null(module.weight.grad);
        Assert.Equal(module.bias is null, module.bias?.grad is null);
        Assert.NotNull(x.grad);
        module.Dispose();
        module.Dispose();
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_failed_call_leaves_the_module_as_it_was(string kind)
    {
        using var scope = NewDisposeScope();
        using var module = New(kind);
        var before = module.state_dict().ToDictionary(s => s.Key, s => s.Value.clone());
        Assert.ThrowsAny<ArgumentException>(() => module.call(randn(2, 3)));
        foreach (var (key, value) in module.state_dict()) Compare.Identical(before[key], value, key);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Nothing_is_left_alive(string kind)
    {
        using var module = New(kind);
        using var x = randn(2, 4, 4);
        LiveTensors.AssertNoneLeft(() =>
        {
            using var y = module.call(x);
            y.backward([y]);
        });
    }

    private static AffineModule New(string kind) => kind switch
    {
        "LayerNorm" => stab.nn.LayerNorm(4),
        "LayerNorm without bias" => stab.nn.LayerNorm(4, bias: false),
        "RMSNorm" => stab.nn.RMSNorm([4]),
        _ => stab.nn.GroupNorm(2, 4),
    };

    private static void Randomize(nn.Module module)
    {
        using var _ = no_grad();
        foreach (var p in module.parameters()) p.normal_();
    }
}

using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace TorchStab.Tests.Initialization;

/// <summary>Which norm of a residual block starts at zero, which layers are what they look like, and options out of range.</summary>
public class InitBlocksTests
{
    [Fact]
    public void Without_a_block_no_norm_starts_at_zero()
    {
        using var model = Holder(("block", Holder(("norm", LayerNorm(4)))), ("norm", LayerNorm(4)));
        Assert.Empty(Zeroed(model, (_, _) => false));
        Assert.Equal(["block.norm"], Zeroed(model, (name, _) => name == "block"));
    }

    [Fact]
    public void A_norm_is_not_a_block_around_itself()
    {
        using var model = Holder(("norm", LayerNorm(4)));
        Assert.Empty(Zeroed(model, (_, m) => m is LayerNorm));
    }

    [Fact]
    public void The_last_norm_counts_though_a_layer_follows_it_and_one_without_a_weight_does_not()
    {
        using var model = Holder(("block", Holder(("first", stab.nn.LayerNorm(4)), ("norm", stab.nn.LayerNorm([4], bias: false)),
            ("bare", stab.nn.LayerNorm(4, elementwise_affine: false)), ("fc", Linear(4, 4)))));
        Assert.Equal(["block.norm"], Zeroed(model, (name, _) => name == "block"));
    }

    [Theory]
    [InlineData("downsample")]
    [InlineData("shortcut")]
    [InlineData("skip")]
    public void A_shortcut_keeps_its_norm_within_the_block_whatever_is_around_it(string name)
    {
        using var root = Holder(("norm", LayerNorm(4)), (name, Holder(("conv", Linear(4, 4)), ("bn", LayerNorm(4)))));
        Assert.Equal(["norm"], Zeroed(root, (path, _) => path.Length == 0));
        using var within = Holder((name, Holder(("block", Holder(("norm", LayerNorm(4)))))));
        Assert.Equal([$"{name}.block.norm"], Zeroed(within, (path, _) => path.EndsWith("block", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData(null, 1.0)]
    [InlineData(1L, 1.0)]
    [InlineData(4L, 0.5)]
    public void Residual_outputs_shrink_with_the_number_of_blocks_that_is_given(long? count, double factor)
    {
        using var model = Holder(("a", Linear(8, 8)), ("b", Linear(8, 8)));
        var entries = stab.nn.init.initialize_(model, new() { ResidualOutputs = (name, _) => name == "b", ResidualCount = count }).Entries;
        Assert.Equal("Xavier normal (no activation known)", entries[0].Scheme);
        Assert.Equal("Xavier normal (no activation known, residual output)", entries[2].Scheme);
        Assert.Equal(entries[0].StdAsked!.Value * factor, entries[2].StdAsked!.Value, 15);
    }

    [Fact]
    public void Only_what_holds_weight_and_bias_alone_is_a_norm()
    {
        using var scope = NewDisposeScope();
        using var odd = new OddNorm();
        Assert.Equal(["weight", "scale"], stab.nn.init.initialize_(odd).Untouched.Select(u => u.Parameter));
        using var around = new WrappedNorm();
        var report = stab.nn.init.initialize_(around);
        Assert.Equal("ones", report.Entries.Single(e => e.Parameter == "weight").Scheme);
        Assert.StartsWith("Xavier", report.Entries.Single(e => e.Parameter == "inner.weight").Scheme, StringComparison.Ordinal);
    }

    [Fact]
    public void A_recurrent_layer_has_both_matrices_and_a_forget_gate_four_gates()
    {
        using var scope = NewDisposeScope();
        using var half = new Parameters(("weight_ih", ones(4, 4)));
        Assert.Equal(["weight_ih"], stab.nn.init.initialize_(half).Untouched.Select(u => u.Parameter));
        using var odd = new Parameters(("weight_ih", ones(8, 3)), ("weight_hh", ones(8, 2)), ("bias", ones(2)));
        Assert.Equal("zeros", stab.nn.init.initialize_(odd).Entries.Single(e => e.Parameter == "bias").Scheme);
        using var three = new Parameters(("weight_ih", ones(6, 3)), ("weight_hh", ones(6, 2)), ("bias", ones(8)));
        Assert.Equal("zeros", stab.nn.init.initialize_(three).Entries.Single(e => e.Parameter == "bias").Scheme);
    }

    [Fact]
    public void Options_out_of_range_are_refused_before_a_write()
    {
        using var scope = NewDisposeScope();
        using var model = Linear(3, 3);
        var before = model.weight!.detach().clone();
        Refused("Mode 9 not supported", new() { Mode = (FanMode)9 });
        Refused("Unknown distribution 9", new() { Distribution = (InitDistribution)9 });
        Refused("found std -0.5 in EmbeddingStd", new() { EmbeddingStd = -0.5 });
        Refused("found std nan in EmbeddingStd", new() { EmbeddingStd = double.NaN });
        Refused("ResidualCount must be at least 1, got 0", new() { ResidualCount = 0 });
        Compare.Identical(before, model.weight!, "weight");
        Assert.Equal("model", Assert.Throws<ArgumentNullException>(() => stab.nn.init.initialize_(null!)).ParamName);
        Assert.Equal("pattern", Assert.Throws<ArgumentNullException>(() => InitializationRule.ForName(null!, Nonlinearity.ReLU)).ParamName);
        Assert.Equal("predicate", Assert.Throws<ArgumentNullException>(() => InitializationRule.When(null!, Nonlinearity.ReLU)).ParamName);
        var error = Assert.Throws<ArgumentException>("nonlinearity", () => InitializationRule.ForType<Linear>((Nonlinearity)99));
        Assert.Contains("Unsupported nonlinearity 99", error.Message, StringComparison.Ordinal);
        using var table = Embedding(5, 3);
        stab.nn.init.initialize_(table, new() { EmbeddingStd = 0 });
        Compare.Identical(zeros(5, 3), table.weight!, "no deviation");

        void Refused(string words, InitializationOptions options) =>
            Assert.Contains(words, Assert.Throws<ArgumentException>(nameof(options), () => stab.nn.init.initialize_(model, options)).Message,
                StringComparison.Ordinal);
    }

    private static IEnumerable<string> Zeroed(Module model, Func<string, Module, bool> blocks) =>
        stab.nn.init.initialize_(model, new() { ResidualBlocks = blocks }).Entries.Where(e => e.Scheme.StartsWith("zeros (last norm", StringComparison.Ordinal))
            .Select(e => e.Parameter[..^".weight".Length]);

    private static Children Holder(params (string name, Module module)[] children) => new Children(children);

    private sealed class Children : Module<Tensor, Tensor>
    {
        public Children((string name, Module module)[] children) : base(nameof(Children))
        {
            foreach (var (name, module) in children) register_module(name, module);
        }

        public override Tensor forward(Tensor input) => input.alias();
    }

    private class Parameters : Module<Tensor, Tensor>
    {
        public Parameters(params (string name, Tensor value)[] parameters) : base(nameof(Parameters))
        {
            foreach (var (name, value) in parameters) register_parameter(name, new Parameter(value));
        }

        public override Tensor forward(Tensor input) => input.alias();
    }

    private sealed class OddNorm() : Parameters(("weight", ones(3)), ("scale", ones(3)));

    private sealed class WrappedNorm : Parameters
    {
        public WrappedNorm() : base(("weight", zeros(3))) => register_module("inner", Linear(3, 3));
    }
}

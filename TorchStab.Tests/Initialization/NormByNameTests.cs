using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace TorchStab.Tests.Initialization;

/// <summary>Modules called “…Norm” that are norms, and modules called so that are none.</summary>
public class NormByNameTests
{
    [Fact]
    public void A_matrix_is_no_scale_whatever_its_layer_is_called()
    {
        using var scope = NewDisposeScope();
        using var model = Sequential(("weight_norm", new LinearWeightNorm(4, 6)), ("relu", ReLU()), ("one", new LinearWeightNorm(6, 1)),
            ("conv", new KernelConvNorm()));
        var before = model.state_dict().ToDictionary(s => s.Key, s => s.Value.clone());
        var report = stab.nn.init.initialize_(model);
        Assert.Empty(report.Entries);
        Assert.Equal(before.Keys, report.Untouched.Select(u => u.Parameter));
        foreach (var (name, value) in model.state_dict()) Compare.Identical(before[name], value, name);
    }

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    public void A_norm_that_scales_by_1_plus_its_weight_starts_at_0(ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        using var model = Sequential(("fc", Linear(6, 6, dtype: dtype)), ("norm", new GemmaRMSNorm(6, dtype)), ("plain", new PlainRMSNorm(6, dtype)),
            ("channels", new ScaleNorm2d(6, dtype)));
        foreach (var p in model.parameters()) stab.nn.init.constant_(p, 9);
        var report = stab.nn.init.initialize_(model);
        Assert.Equal(["zeros (scales by 1 + weight)", "ones", "ones", "zeros"], report.Entries.Skip(2).Select(e => e.Scheme));
        var state = model.state_dict();
        Assert.True(state["norm.weight"].eq(0).all().item<bool>() && state["plain.weight"].eq(1).all().item<bool>()
            && state["channels.weight"].eq(1).all().item<bool>());
        Assert.Contains(report.Notes, n => n.StartsWith("GemmaRMSNorm (norm) is taken for a normalization", StringComparison.Ordinal));
        Assert.Equal(3, report.Notes.Count(n => n.Contains("is taken for a normalization", StringComparison.Ordinal)));
    }

    [Fact]
    public void The_last_norm_of_a_residual_block_makes_zeros_also_where_it_scales_by_1_plus_its_weight()
    {
        using var scope = NewDisposeScope();
        using var model = Sequential(Linear(6, 6), new GemmaRMSNorm(6, ScalarType.Float32));
        stab.nn.init.initialize_(model, new() { ResidualBlocks = (name, _) => name.Length == 0 });
        Assert.Equal(0, model.call(randn(4, 6)).abs().max().item<float>());
    }

    [Fact]
    public void Wrappers_called_so_are_not_looked_through()
    {
        using var model = Sequential(("first", Linear(4, 4)), ("wrapped", new ConvNorm()), ("relu", ReLU()), ("second", Linear(4, 4)),
            ("pre", new PreNorm(Linear(4, 4))), ("act", ReLU()));
        var schemes = stab.nn.init.initialize_(model).Entries.Where(e => e.StdAsked is not null).Select(e => (e.Parameter, e.Scheme));
        Assert.Equal(
            [
                ("first.weight", "Xavier normal (no activation known)"), ("wrapped.conv.weight", "He normal (before ReLU, by order of registration)"),
                ("second.weight", "Xavier normal (no activation known)"), ("pre.fn.weight", "He normal (before ReLU, by order of registration)"),
            ], schemes);
    }

    [Fact]
    public void A_model_without_a_norm_is_not_told_to_normalize_more()
    {
        using var scope = NewDisposeScope();
        using var none = Sequential(new LinearWeightNorm(4, 4), new LinearWeightNorm(4, 4));
        using var some = Sequential(Linear(4, 4), new PlainRMSNorm(4, ScalarType.Float32), Linear(4, 4), Tanh(), Linear(4, 4), Tanh());
        Assert.DoesNotContain("normalize more", Advice(none), StringComparison.Ordinal);
        Assert.Contains("normalize more", Advice(some), StringComparison.Ordinal);

        static string Advice(Module<Tensor, Tensor> model) =>
            TorchStab.Diagnostics.Remedies.Vanishing(new TorchStab.Diagnostics.LayerContext(model, null, clips: false), "0");
    }

    private sealed class LinearWeightNorm : Module<Tensor, Tensor>
    {
        private readonly Parameter weight, bias;

        public LinearWeightNorm(long from, long to) : base(nameof(LinearWeightNorm))
        {
            (weight, bias) = (new Parameter(randn(to, from)), new Parameter(randn(to)));
            RegisterComponents();
        }

        public override Tensor forward(Tensor input) => functional.linear(input, weight, bias);
    }

    private sealed class KernelConvNorm : Module<Tensor, Tensor>
    {
        private readonly Parameter weight = new(randn(3, 2, 1, 1));

        public KernelConvNorm() : base(nameof(KernelConvNorm)) => RegisterComponents();

        public override Tensor forward(Tensor input) => functional.conv2d(input, weight);
    }

    private sealed class GemmaRMSNorm : Module<Tensor, Tensor>
    {
        private readonly Parameter weight;

        public GemmaRMSNorm(long size, ScalarType dtype) : base(nameof(GemmaRMSNorm))
        {
            weight = new(zeros(size, dtype));
            RegisterComponents();
        }

        public override Tensor forward(Tensor input) => input * (input.square().mean([-1], keepdim: true) + 1e-6).rsqrt() * (1 + weight);
    }

    private sealed class PlainRMSNorm : Module<Tensor, Tensor>
    {
        private readonly Parameter weight;

        public PlainRMSNorm(long size, ScalarType dtype) : base(nameof(PlainRMSNorm))
        {
            weight = new(ones(size, dtype));
            RegisterComponents();
        }

        public override Tensor forward(Tensor input) => input * (input.square().mean([-1], keepdim: true) + 1e-6).rsqrt() * weight;
    }

    private sealed class ScaleNorm2d : Module<Tensor, Tensor>
    {
        private readonly Parameter weight, bias;

        public ScaleNorm2d(long channels, ScalarType dtype) : base(nameof(ScaleNorm2d))
        {
            (weight, bias) = (new(zeros([channels, 1, 1], dtype)), new(ones([channels, 1, 1], dtype)));
            RegisterComponents();
        }

        public override Tensor forward(Tensor input) =>
            input.dim() == 4 ? input / (input.std([1], keepdim: true) + 1e-6) * weight + bias : throw new ArgumentException("expected images");
    }

    private sealed class ConvNorm : Module<Tensor, Tensor>
    {
        private readonly Linear conv = Linear(4, 4);
        private readonly Module<Tensor, Tensor> norm = LayerNorm(4);

        public ConvNorm() : base(nameof(ConvNorm)) => RegisterComponents();

        public override Tensor forward(Tensor input) => norm.call(conv.call(input));
    }

    private sealed class PreNorm : Module<Tensor, Tensor>
    {
        private readonly Module<Tensor, Tensor> norm = LayerNorm(4), fn;

        public PreNorm(Module<Tensor, Tensor> fn) : base(nameof(PreNorm))
        {
            this.fn = fn;
            RegisterComponents();
        }

        public override Tensor forward(Tensor input) => fn.call(norm.call(input));
    }
}

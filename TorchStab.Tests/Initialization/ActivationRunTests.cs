using TorchStab.Tests.Support;
using TorchStab.Tests.Surgery.Models;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using static TorchSharp.torch.nn.functional;
using static TorchStab.Tests.Support.Refusals;

namespace TorchStab.Tests.Initialization;

/// <summary>Which function follows which layer, seen by running models as people write them: with modules, with functions, in place, in branches.</summary>
public class ActivationRunTests
{
    private static readonly Dictionary<string, (Func<Tensor, Tensor> function, string scheme)> Functions = new()
    {
        ["relu"] = (x => relu(x), "He normal (before ReLU, seen in the run)"),
        ["relu_"] = (x => x.relu_(), "He normal (before ReLU, seen in the run)"),
        ["leaky"] = (x => leaky_relu(x, 0.2), "He normal (before LeakyReLU, seen in the run)"),
        ["relu6"] = (x => relu6(x), "He normal (before ReLU"),
        ["gelu"] = (x => gelu(x), "He normal (before GELU, seen in the run)"),
        ["gelu by tanh"] = (x => 0.5 * x * (1 + tanh(Math.Sqrt(2 / Math.PI) * (x + 0.044715 * x.pow(3)))), "He normal (before GELU, seen in the run)"),
        ["silu"] = (x => silu(x), "He normal (before SiLU, seen in the run)"),
        ["x sigmoid x"] = (x => x * x.sigmoid(), "He normal (before SiLU, seen in the run)"),
        ["mish"] = (x => mish(x), "He normal (before Mish, seen in the run)"),
        ["elu"] = (x => elu(x, 1), "He normal (before ELU, seen in the run)"),
        ["hardswish"] = (x => hardswish(x), "He normal (before Hardswish, seen in the run)"),
        ["softplus"] = (x => softplus(x), "He normal (before Softplus, seen in the run)"),
        ["selu"] = (x => selu(x), "LeCun normal (before SELU, seen in the run)"),
        ["tanh"] = (x => x.tanh(), "Xavier normal (before Tanh, seen in the run)"),
        ["sigmoid"] = (x => x.sigmoid(), "Xavier normal (before Sigmoid, seen in the run)"),
        ["softmax"] = (x => x.softmax(-1), "Xavier normal (before Softmax, seen in the run)"),
        ["nothing"] = (x => x.alias(), "Xavier normal (no activation in the run)"),
        ["residual relu"] = (x => relu(x + ones_like(x) * 0.3), "He normal (before ReLU, seen in the run)"),
        ["residual gelu"] = (x => gelu(x + linspace(-1, 1, x.numel()).view(x.shape)), "He normal (before GELU, seen in the run)"),
    };

    public static TheoryData<string> Names => [.. Functions.Keys];

    [Theory, MemberData(nameof(Names))]
    public void A_function_that_is_no_module_is_seen(string name)
    {
        using var scope = NewDisposeScope();
        var (function, scheme) = Functions[name];
        foreach (var norm in new Module<Tensor, Tensor>?[] { null, LayerNorm(60), stab.nn.RMSNorm(60) })
        {
            using var model = new Between(Linear(20, 60), norm, function, Linear(60, 8));
            Assert.StartsWith(scheme, Scheme(model, randn(64, 20), "first.weight"), StringComparison.Ordinal);
            Assert.Equal("Xavier normal (no activation in the run)", Scheme(model, randn(64, 20), "last.weight"));
            using var output = new Between(Linear(20, 60), null, x => x.alias(), Linear(60, 60), function);
            Assert.StartsWith(scheme, Scheme(output, randn(64, 20), "last.weight"), StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.BFloat16)]
    public void Pooled_turned_and_flattened_outputs_are_known_again(ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        using var images = new Between(Conv2d(3, 16, 3, padding: 1, dtype: dtype), BatchNorm2d(16, dtype: dtype), x => max_pool2d(relu(x), 2).flatten(1),
            Linear(16 * 16, 5, dtype: dtype));
        Assert.Equal("He normal (before ReLU, seen in the run)", Scheme(images, randn(4, 3, 8, 8, dtype), "first.weight"));
        using var turned = new Between(Conv2d(3, 16, 3, padding: 1, dtype: dtype), null, x => gelu(x.permute(0, 2, 3, 1)), Linear(16, 5, dtype: dtype));
        Assert.StartsWith("He normal (before GELU", Scheme(turned, randn(4, 3, 8, 8, dtype), "first.weight"), StringComparison.Ordinal);
        using var plain = new Between(Conv2d(3, 16, 3, padding: 1, dtype: dtype), null, x => x.permute(0, 2, 3, 1), Linear(16, 5, dtype: dtype));
        Assert.Equal("Xavier normal (no activation in the run)", Scheme(plain, randn(4, 3, 8, 8, dtype), "first.weight"));
    }

    [Fact]
    public void Every_convolution_of_a_ResNet_takes_He_and_its_head_Xavier()
    {
        using var scope = NewDisposeScope();
        foreach (bool shared in new[] { true, false })
        {
            using var model = Sequential(("stem", Sequential(Conv2d(3, 8, 3, padding: 1, bias: false), BatchNorm2d(8), ReLU())),
                ("one", new Block(8, 8, 1, shared)),
                ("two", new Block(8, 16, 2, shared)), ("three", new Block(16, 16, 1, shared)), ("pool", AdaptiveAvgPool2d(1)), ("flatten", Flatten()),
                ("fc", Linear(16, 10)));
            var entries = Layers(stab.nn.init.initialize_(model, new() { Example = randn(2, 3, 16, 16) }));
            Assert.All(entries.Where(e => e.Parameter != "fc.weight"), e => Assert.Equal("He normal (before ReLU, seen in the run)", e.Scheme));
            Assert.Equal("Xavier normal (no activation in the run)", entries[^1].Scheme);
            Assert.Equal(9, entries.Count);
        }
    }

    [Theory, MemberData(nameof(RealModels.Names), MemberType = typeof(RealModels))]
    public void Real_models_get_what_their_functions_ask_for(string name)
    {
        using var scope = NewDisposeScope();
        using var model = RealModels.All[name].make();
        var entries = Layers(stab.nn.init.initialize_(model, new() { Example = RealModels.All[name].input(ScalarType.Float32) }));
        foreach (var (parameter, scheme) in entries.Select(e => (e.Parameter, e.Scheme)))
        {
            bool rectified = name switch
            {
                "ResNet-18" => parameter != "fc.weight",
                "MobileNetV2" => !parameter.StartsWith("classifier", StringComparison.Ordinal) && !IsBottleneck(parameter, entries),
                "GPT" => parameter.EndsWith("c_fc.weight", StringComparison.Ordinal),
                _ => parameter.StartsWith("down", StringComparison.Ordinal) || parameter.StartsWith("merge", StringComparison.Ordinal),
            };
            Assert.StartsWith(rectified ? "He" : parameter.StartsWith('w') ? "normal" : "Xavier", scheme, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Gated_branches_and_heads_are_told_apart()
    {
        using var scope = NewDisposeScope();
        using var model = new Branches();
        var report = stab.nn.init.initialize_(model, new() { Example = randn(32, 12) });
        Assert.Equal(
            [("gate", "SiLU"), ("up", ""), ("down", ""), ("policy", ""), ("value1", "Tanh"), ("value2", ""), ("left", "ReLU"), ("right", "ReLU"), ("join", "")],
            Layers(report).Select(e => (e.Parameter.Split('.')[0], e.Scheme.Contains("before ", StringComparison.Ordinal)
                ? e.Scheme.Split("before ")[1].Split(',')[0] : "")));
    }

    [Fact]
    public void A_model_of_any_signature_is_run_by_an_action_and_rules_go_first()
    {
        using var scope = NewDisposeScope();
        using var model = new TwoInputs();
        var report = stab.nn.init.initialize_(model,
            new() { Run = () => model.call(randn(8, 4), randn(8, 4)), Rules = [InitializationRule.ForName("b", Nonlinearity.Tanh)] });
        Assert.Equal(["He normal (before ReLU, seen in the run)", "Xavier normal (before Tanh by rule)"], Layers(report).Select(e => e.Scheme));
    }

    [Fact]
    public void Modes_statistics_and_hooks_are_as_before_and_a_run_that_fails_writes_nothing()
    {
        using var scope = NewDisposeScope();
        using var model = Sequential(("fc", Linear(4, 6)), ("bn", stab.nn.BatchNorm1d(6)), ("drop", Dropout()), ("relu", ReLU()), ("out", Linear(6, 2)));
        model.children().ElementAt(1).eval();
        var (before, modes) = (model.state_dict().ToDictionary(s => s.Key, s => s.Value.clone()), model.modules().Select(m => m.training).ToList());
        Assert.ThrowsAny<Exception>(() => stab.nn.init.initialize_(model, new() { Example = randn(3, 5) }));
        foreach (var (key, value) in model.state_dict()) Compare.Identical(before[key], value, key);
        stab.nn.init.initialize_(model, new() { Example = randn(3, 4) });
        Assert.Equal(modes, model.modules().Select(m => m.training));
        foreach (string key in before.Keys.Where(k => k.Contains("running", StringComparison.Ordinal)))
            Compare.Identical(before[key], model.state_dict()[key], key);
        model.eval();
        Compare.Identical(model.forward(ones(2, 4)), model.call(ones(2, 4)), "no hook stays");
    }

    [Fact]
    public void The_run_draws_nothing_from_the_global_stream_and_leaves_no_tensor()
    {
        using var scope = NewDisposeScope();
        using var one = new Between(Linear(20, 60), LayerNorm(60), x => relu(x), Linear(60, 8));
        using var two = new Between(Linear(20, 60), LayerNorm(60), x => relu(x), Linear(60, 8));
        var input = randn(16, 20);
        manual_seed(3);
        stab.nn.init.initialize_(one, new() { Example = input });
        manual_seed(3);
        stab.nn.init.initialize_(two, new() { Rules = [InitializationRule.ForName("first", Nonlinearity.ReLU)] });
        Compare.Identical(two.state_dict()["first.weight"], one.state_dict()["first.weight"], "the same draws");
        LiveTensors.AssertNoneLeft(() => stab.nn.init.initialize_(one, new() { Example = input }));
    }

    [Fact]
    public void Examples_that_do_not_fit_are_refused()
    {
        using var scope = NewDisposeScope();
        using var model = Linear(4, 4);
        using var two = new TwoInputs();
        Refused("Example is empty: got shape [0, 4]", "options", () => stab.nn.init.initialize_(model, new() { Example = empty(0, 4) }));
        Refused("expected an Example or a Run, got both", "options", () => stab.nn.init.initialize_(model, new() { Example = ones(1, 4), Run = () => { } }));
        Refused("TwoInputs does not take one tensor", "options", () => stab.nn.init.initialize_(two, new() { Example = ones(1, 4) }));
    }

    private static List<InitializationEntry> Layers(InitializationReport report) => [.. report.Entries.Where(e => e.StdAsked is not null)];

    private static string Scheme(Module model, Tensor example, string parameter) =>
        stab.nn.init.initialize_(model, new() { Example = example }).Entries.Single(e => e.Parameter == parameter).Scheme;

    // The last convolution of an inverted residual: no function follows it.
    private static bool IsBottleneck(string parameter, List<InitializationEntry> entries)
    {
        string block = string.Join('.', parameter.Split('.').Take(3));
        return parameter.Contains(".conv.", StringComparison.Ordinal)
            && entries.Last(e => e.Parameter.StartsWith(block + ".", StringComparison.Ordinal)).Parameter == parameter;
    }

    private sealed class Between : Module<Tensor, Tensor>
    {
        private readonly Module<Tensor, Tensor> first, last;
        private readonly Module<Tensor, Tensor>? norm;
        private readonly Func<Tensor, Tensor> function;
        private readonly Func<Tensor, Tensor>? end;

        public Between(Module<Tensor, Tensor> first, Module<Tensor, Tensor>? norm, Func<Tensor, Tensor> function, Module<Tensor, Tensor> last,
            Func<Tensor, Tensor>? end = null)
            : base(nameof(Between))
        {
            (this.first, this.norm, this.function, this.last, this.end) = (first, norm, function, last, end);
            RegisterComponents();
        }

        public override Tensor forward(Tensor input)
        {
            using var scope = NewDisposeScope();
            var x = first.call(input);
            var y = last.call(function(norm?.call(x) ?? x));
            return (end?.Invoke(y) ?? y).MoveToOuterDisposeScope();
        }
    }

    /// <summary>As torch.nn's model collections write it: the sum and the last ReLU in place, on tensors.</summary>
    private sealed class Block : Module<Tensor, Tensor>
    {
        private readonly Module<Tensor, Tensor> conv1, bn1, conv2, bn2, relu1;
        private readonly Module<Tensor, Tensor>? downsample;
        private readonly bool shared;

        public Block(long from, long to, long stride, bool shared) : base(nameof(Block))
        {
            this.shared = shared;
            (conv1, bn1, relu1) = (Conv2d(from, to, 3, stride: stride, padding: 1, bias: false), BatchNorm2d(to), ReLU(inplace: true));
            (conv2, bn2) = (Conv2d(to, to, 3, padding: 1, bias: false), BatchNorm2d(to));
            if (from != to) downsample = Sequential(Conv2d(from, to, 1, stride: stride, bias: false), BatchNorm2d(to));
            RegisterComponents();
        }

        public override Tensor forward(Tensor input)
        {
            var x = bn2.call(conv2.call(relu1.call(bn1.call(conv1.call(input)))));
            x.add_(downsample?.call(input) ?? input);
            return shared ? relu1.call(x) : x.relu_();
        }
    }

    private sealed class Branches : Module<Tensor, Tensor>
    {
        private readonly Module<Tensor, Tensor> gate = Linear(12, 24), up = Linear(12, 24), down = Linear(24, 12), policy = Linear(12, 3),
            value1 = Linear(12, 6), value2 = Linear(6, 1), left = Conv1d(1, 4, 1), right = Conv1d(1, 8, 1), join = Conv1d(12, 2, 1);

        public Branches() : base(nameof(Branches)) => RegisterComponents();

        public override Tensor forward(Tensor input)
        {
            using var scope = NewDisposeScope();
            var x = down.call(silu(gate.call(input)) * up.call(input));
            var p = policy.call(x);
            var v = value2.call(value1.call(x).tanh());
            var line = x.unsqueeze(1);
            var j = join.call(cat([relu(left.call(line)), relu(right.call(line))], 1));
            return (p.sum() + v.sum() + j.sum()).MoveToOuterDisposeScope();
        }
    }

    private sealed class TwoInputs : Module<Tensor, Tensor, Tensor>
    {
        private readonly Module<Tensor, Tensor> a = Linear(4, 6), b = Linear(6, 2);

        public TwoInputs() : base(nameof(TwoInputs)) => RegisterComponents();

        public override Tensor forward(Tensor x, Tensor y) => b.call(relu(a.call(x + y)));
    }
}

using System.Diagnostics;
using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace TorchStab.Tests.Initialization;

public class ModelInitializerTests
{
    [Fact]
    public void Every_layer_takes_the_scheme_of_what_follows_it()
    {
        using var scope = NewDisposeScope();
        manual_seed(1);
        using var model = Sequential(
            ("conv", Conv2d(3, 64, 3)), ("bn", stab.nn.BatchNorm2d(64)), ("relu", ReLU()),
            ("grouped", Conv2d(64, 64, 3, groups: 4)), ("selu", SELU()), ("pool", AdaptiveAvgPool2d(4)), ("flatten", Flatten()),
            ("dropout", Dropout()), ("hidden", Linear(1024, 200)), ("ln", stab.nn.LayerNorm(200)), ("leaky", LeakyReLU(0.3)),
            ("nested", Sequential(("sigmoid", Linear(200, 200)), ("act", Sigmoid()), ("tail", Linear(200, 100)))), ("tanh", Tanh()),
            ("out", Linear(100, 10)), ("softmax", LogSoftmax(1)));
        var report = stab.nn.init.initialize_(model);
        Assert.Empty(report.Untouched);
        Assert.Equal(model.named_parameters().Select(p => p.name), report.Entries.Select(e => e.Parameter));
        Assert.Equal(
            [
                ("conv.weight", "He normal (before ReLU)", Math.Sqrt(2.0 / 27)),
                ("grouped.weight", "LeCun normal (before SELU)", Math.Sqrt(1.0 / 144)),
                ("hidden.weight", "He normal (before LeakyReLU)", Math.Sqrt(2 / 1.09 / 1024)),
                ("nested.sigmoid.weight", "Xavier normal (before Sigmoid)", Math.Sqrt(2.0 / 400)),
                ("nested.tail.weight", "Xavier normal (before Tanh)", Math.Sqrt(2.0 / 300)),
                ("out.weight", "Xavier normal (before LogSoftmax)", Math.Sqrt(2.0 / 110)),
            ], report.Entries.Where(e => e.StdAsked is not null).Select(e => (e.Parameter, e.Scheme, e.StdAsked!.Value)));
        foreach (var entry in report.Entries.Where(e => e.StdAsked is not null)) Assert.InRange(entry.StdMeasured / entry.StdAsked!.Value, 0.9, 1.1);
        var state = model.state_dict();
        foreach (string bias in state.Keys.Where(k => k.EndsWith(".bias", StringComparison.Ordinal))) Assert.True(state[bias].eq(0).all().item<bool>(), bias);
        foreach (string norm in new[] { "bn.weight", "ln.weight" }) Assert.True(state[norm].eq(1).all().item<bool>(), norm);
    }

    [Fact]
    public void Report_prints_as_a_table_with_what_was_left()
    {
        using var model = Sequential(("fc", Linear(4, 5)), ("relu", ReLU()), ("odd", new Odd()));
        string text = stab.nn.init.initialize_(model).ToString();
        Assert.Contains("parameter", text, StringComparison.Ordinal);
        Assert.Contains("fc.weight  He normal (before ReLU)", text, StringComparison.Ordinal);
        Assert.Contains("left as it was: odd.scale of Odd", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Unknown_layers_are_listed_and_left_alone()
    {
        using var scope = NewDisposeScope();
        using var model = Sequential(("bilinear", new Odd()), ("fc", Linear(3, 3)));
        var before = model.state_dict()["bilinear.scale"].clone();
        var report = stab.nn.init.initialize_(model);
        Assert.Equal([new UntouchedParameter("bilinear.scale", nameof(Odd))], report.Untouched);
        Compare.Identical(before, model.state_dict()["bilinear.scale"], "unknown");
    }

    [Fact]
    public void Rules_speak_where_no_Sequential_does()
    {
        using var model = new TwoBranches();
        var report = stab.nn.init.initialize_(model, new()
        {
            Rules =
            [
                InitializationRule.ForName("l?ft*", Nonlinearity.ReLU),
                InitializationRule.ForType<Inner>(Nonlinearity.LeakyReLU, 0.2),
                InitializationRule.When((n, m) => n == "plain" && m is TorchSharp.Modules.Linear, Nonlinearity.SELU),
            ],
        });
        Assert.Equal(
            [
                "He normal (before ReLU by rule)", "Xavier normal (no activation known)", "He normal (before LeakyReLU by rule)",
                "LeCun normal (before SELU by rule)",
            ],
            report.Entries.Where(e => e.StdAsked is not null).Select(e => e.Scheme));
    }

    [Fact]
    public void Distribution_mode_and_generator_are_options()
    {
        using var scope = NewDisposeScope();
        using var model = Sequential(("fc", Linear(300, 200)), ("relu", ReLU()));
        using var one = new Generator(4);
        using var two = new Generator(4);
        var entry = stab.nn.init.initialize_(model, new() { Distribution = InitDistribution.Uniform, Mode = FanMode.FanOut }, one).Entries[0];
        Assert.Equal(("He uniform (before ReLU)", 200.0), (entry.Scheme, entry.Fan));
        var expected = stab.nn.init.kaiming_uniform_(empty(200, 300), mode: FanMode.FanOut, nonlinearity: Nonlinearity.ReLU, generator: two);
        Compare.Identical(expected, model.state_dict()["fc.weight"], "the scheme by itself");
    }

    [Fact]
    public void Residual_blocks_start_as_the_identity_and_outputs_shrink_with_depth()
    {
        using var scope = NewDisposeScope();
        using var model = Sequential(("block1", new Residual()), ("block2", new Residual()));
        var report = stab.nn.init.initialize_(model, new()
        {
            ResidualBlocks = (_, m) => m is Residual,
            ResidualOutputs = (name, _) => name.EndsWith(".second", StringComparison.Ordinal),
        });
        var state = model.state_dict();
        Assert.True(state["block1.norm1.weight"].eq(1).all().item<bool>());
        Assert.True(state["block2.norm2.weight"].eq(0).all().item<bool>());
        Assert.True(state["block2.downsample.weight"].eq(1).all().item<bool>());
        double Std(string name) => report.Entries.Single(e => e.Parameter == name).StdAsked!.Value;
        Assert.Equal(Std("block1.first.weight") / Math.Sqrt(2), Std("block1.second.weight"), 15);
    }

    [Fact]
    public void Identity_flags_and_modes_stay_and_shared_parameters_are_filled_once()
    {
        using var scope = NewDisposeScope();
        using var a = Linear(6, 6);
        using var b = Linear(6, 6);
        a.weight!.requires_grad_(false);
        b.weight = a.weight;
        using var model = Sequential(("a", a), ("b", b));
        var before = model.parameters().Select(p => (p.Handle, p.requires_grad)).ToList();
        var report = stab.nn.init.initialize_(model, new() { IncludeFrozen = true });
        Assert.Equal(before, model.parameters().Select(p => (p.Handle, p.requires_grad)));
        Assert.True(model.training && is_grad_enabled());
        Assert.Equal("a.weight", report.Entries[0].Parameter);
        Assert.Single(report.Entries, e => e.StdAsked is not null);
    }

    [Fact]
    public void Nothing_leaks()
    {
        using var model = Sequential(Linear(4, 4), ReLU(), Embedding(5, 4, padding_idx: 2), LSTMCell());
        LiveTensors.AssertNoneLeft(() => stab.nn.init.initialize_(model));
        static Module<Tensor, Tensor> LSTMCell() => new Holder(nn.LSTMCell(3, 4));
    }

    /// <summary>25 million parameters: the working set never rises by more than one layer (9 MB) and what the runtime takes meanwhile.</summary>
    [Fact]
    public void Big_model_needs_no_more_than_one_layers_temporary()
    {
        using var model = Sequential(Enumerable.Range(0, 11).Select(i => ($"fc{i}", (Module<Tensor, Tensor>)Linear(1500, 1500))));
        stab.nn.init.initialize_(model);
        using var process = Process.GetCurrentProcess();
        long before = WorkingSet(process), peak = before;
        using var stop = new CancellationTokenSource();
        var watcher = new Thread(() => { while (!stop.IsCancellationRequested) peak = Math.Max(peak, WorkingSet(process)); });
        watcher.Start();
        stab.nn.init.initialize_(model);
        stop.Cancel();
        watcher.Join();
        Assert.InRange(peak - before, long.MinValue, 2 * 1500 * 1500 * sizeof(float));
    }

    private static long WorkingSet(Process process)
    {
        process.Refresh();
        return process.WorkingSet64;
    }

    private sealed class Odd : Module<Tensor, Tensor>
    {
        private readonly Parameter _scale = new(ones(3));

        public Odd() : base(nameof(Odd)) => register_parameter("scale", _scale);

        public override Tensor forward(Tensor input) => input * _scale;
    }

    private sealed class Holder : Module<Tensor, Tensor>
    {
        public Holder(Module held) : base(nameof(Holder)) => register_module("held", held);

        public override Tensor forward(Tensor input) => input.alias();
    }

    private sealed class Inner : Module<Tensor, Tensor>
    {
        public Inner() : base(nameof(Inner)) => register_module("fc", Linear(4, 4));

        public override Tensor forward(Tensor input) => input.alias();
    }

    private sealed class TwoBranches : Module<Tensor, Tensor>
    {
        public TwoBranches() : base(nameof(TwoBranches))
        {
            register_module("left", Linear(4, 4));
            register_module("right", Linear(4, 4));
            register_module("inner", new Inner());
            register_module("plain", Linear(4, 4));
        }

        public override Tensor forward(Tensor input) => input.alias();
    }

    private sealed class Residual : Module<Tensor, Tensor>
    {
        public Residual() : base(nameof(Residual))
        {
            register_module("first", Linear(4, 4));
            register_module("norm1", stab.nn.LayerNorm(4));
            register_module("second", Linear(4, 4));
            register_module("norm2", nn.LayerNorm(4));
            register_module("downsample", nn.LayerNorm(4));
        }

        public override Tensor forward(Tensor input) => input.alias();
    }
}

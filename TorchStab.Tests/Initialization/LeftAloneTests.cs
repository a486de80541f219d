using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using static TorchStab.Tests.Support.Refusals;

namespace TorchStab.Tests.Initialization;

/// <summary>What initialize_ leaves alone, cannot measure, or cannot reach, and what it says about it.</summary>
public class LeftAloneTests
{
    [Fact]
    public void Frozen_parameters_and_fixed_kernels_stay_unless_asked_for()
    {
        using var scope = NewDisposeScope();
        using var model = Sequential(("blur", Conv2d(3, 3, 3, groups: 3)), ("conv", Conv2d(3, 4, 3)), ("bn", stab.nn.BatchNorm2d(4)), ("relu", ReLU()));
        foreach (var (name, p) in model.named_parameters())
            if (name.StartsWith("blur", StringComparison.Ordinal) || name == "bn.weight") stab.nn.init.constant_(p.requires_grad_(false), 0.25);
        var report = stab.nn.init.initialize_(model);
        var state = model.state_dict();
        Assert.True(state["blur.weight"].eq(0.25).all().item<bool>() && state["blur.bias"].eq(0.25).all().item<bool>()
            && state["bn.weight"].eq(0.25).all().item<bool>());
        Assert.Equal(["blur.weight", "blur.bias", "bn.weight"], report.Untouched.Select(u => u.Parameter));
        Assert.Contains("left as it was: blur.weight of Conv2d (frozen: requires_grad is false)", report.ToString(), StringComparison.Ordinal);
        Assert.Equal(["conv.weight", "conv.bias", "bn.bias"], report.Entries.Select(e => e.Parameter));
        Assert.Empty(stab.nn.init.initialize_(model, new() { IncludeFrozen = true }).Untouched);
        Assert.True(model.state_dict()["bn.weight"].eq(1).all().item<bool>());
        Assert.False(model.named_parameters().First().parameter.requires_grad);
    }

    [Fact]
    public void Lsuv_measures_frozen_layers_and_leaves_them()
    {
        using var scope = NewDisposeScope();
        using var model = Sequential(("frozen", Linear(8, 8)), ("relu", ReLU()), ("fc", Linear(8, 8)));
        foreach (var p in model.parameters().Take(2)) p.requires_grad_(false);
        var before = model.state_dict()["frozen.weight"].clone();
        var report = stab.nn.init.lsuv_(model, randn(32, 8));
        Compare.Identical(before, model.state_dict()["frozen.weight"], "frozen");
        Assert.Equal([("frozen", false), ("fc", true)], report.Entries.Select(e => (e.Layer, e.Converged)));
    }

    [Fact]
    public void On_the_meta_device_everything_is_told_and_nothing_measured()
    {
        using var scope = NewDisposeScope();
        using var model = Sequential(("table", Embedding(9, 8, padding_idx: 2)), ("conv", Conv1d(8, 8, 3, padding: 1)),
            ("norm", LayerNorm(8)), ("relu", ReLU()),
            ("fc", Linear(8, 8)), ("act", SELU()), ("own", new MyLayerNorm()), ("mha", new Holder(MultiheadAttention(8, 2))),
            ("lstm", new Holder(nn.LSTM(8, 8))),
            ("cell", new Holder(stab.nn.LayerNormGRU(8, 8)))).to(DeviceType.META);
        foreach (var distribution in Enum.GetValues<InitDistribution>())
        {
            var report = stab.nn.init.initialize_(model, new() { Distribution = distribution });
            Assert.Equal(model.named_parameters().Count(), report.Entries.Count);
            Assert.All(report.Entries, e => Assert.True(double.IsNaN(e.StdMeasured)));
            Assert.DoesNotContain("NaN", report.ToString(), StringComparison.Ordinal);
        }

        Assert.All(model.parameters(), p => Assert.Equal(DeviceType.META, p.device_type));
    }

    [Fact]
    public void Nothing_is_run_without_values()
    {
        using var scope = NewDisposeScope();
        using var here = Sequential(Linear(8, 8), ReLU(), Linear(8, 2));
        using var meta = Sequential(Linear(8, 8), ReLU(), Linear(8, 2)).to(DeviceType.META);
        using var buffer = Sequential(Linear(8, 8), new Holder(stab.nn.BatchNorm1d(8, affine: false).to(DeviceType.META)));
        var before = here.parameters().Select(p => p.clone()).ToList();
        Tensor values = randn(4, 8), none = empty(4, 8, device: META);
        Action run = () => Assert.Fail("was run");
        Refused("the model is on the meta device", "options", () => stab.nn.init.initialize_(meta, new() { Example = values }));
        Refused("the Example is on the meta device", "options", () => stab.nn.init.initialize_(here, new() { Example = none }));
        Refused("the model is on the meta device", "options", () => stab.nn.init.initialize_(meta, new() { Run = run }));
        Refused("the model is on the meta device", "options", () => stab.nn.init.initialize_(buffer, new() { Run = run }));
        Refused("the model is on the meta device", "model", () => stab.nn.init.lsuv_(meta, values));
        Refused("the batch is on the meta device", "batch", () => stab.nn.init.lsuv_(here, none));
        Refused("the model is on the meta device", "model", () => stab.nn.init.lsuv_(meta, run));
        foreach (var (was, now) in before.Zip(here.parameters())) Compare.Identical(was, now, "a refused model");
    }

    [Fact]
    public void A_single_number_has_no_deviation_to_print()
    {
        using var model = Sequential(("output", Linear(5, 1)));
        var report = stab.nn.init.initialize_(model);
        Assert.DoesNotContain("NaN", report.ToString(), StringComparison.Ordinal);
        Assert.True(double.IsNaN(report.Entries[1].StdMeasured));
    }

    [Fact]
    public void Modules_in_plain_fields_are_named()
    {
        using var scope = NewDisposeScope();
        using var model = new Forgetful();
        var notes = stab.nn.init.initialize_(model).Notes.Where(n => n.Contains("is not registered", StringComparison.Ordinal))
            .Select(n => n.Split(" is not")[0]);
        Assert.Equal(
            [
                "blocks[0] (Linear)", "blocks[1] (Sequential)", "array[0] (Linear)", "named[a] (Linear)", "pairs[0].Item2 (Linear)", "List[0] (Linear)",
                "Dict[0] (Linear)", "Auto (Linear)", "inner.deep[0] (Linear)",
            ], notes);
    }

    [Fact]
    public void What_is_registered_elsewhere_holds_no_weights_or_is_around_is_not()
    {
        using var scope = NewDisposeScope();
        using var model = new Careful();
        foreach (Module root in new Module[] { model, model.children().OfType<Child>().Single() })
            Assert.DoesNotContain(stab.nn.init.initialize_(root).Notes, n => n.Contains("is not registered", StringComparison.Ordinal));
    }

    private sealed class MyLayerNorm : Module<Tensor, Tensor>
    {
        private readonly Parameter weight = new(ones(8));

        public MyLayerNorm() : base(nameof(MyLayerNorm)) => RegisterComponents();

        public override Tensor forward(Tensor input) => input * weight;
    }

    private sealed class Holder : Module<Tensor, Tensor>
    {
        public Holder(Module held) : base(nameof(Holder)) => register_module("held", held);

        public override Tensor forward(Tensor input) => input.alias();
    }

    private sealed class Forgetful : Module<Tensor, Tensor>
    {
        private readonly List<Module<Tensor, Tensor>> blocks = [Linear(2, 2), Sequential(ReLU(), Linear(2, 2)), ReLU()];
        private readonly Linear[] array = [Linear(2, 2)];
        private readonly Dictionary<string, Linear> named = new() { ["a"] = Linear(2, 2) };
        private readonly List<(string, Linear)> pairs = [("x", Linear(2, 2))];
        private readonly Linear kept = Linear(2, 2);
        private readonly double[] numbers = [1, 2];

        public Forgetful() : base(nameof(Forgetful))
        {
            Dict.Add("a", Linear(2, 2));
            register_module("kept", kept);
            register_module("inner", new Inner());
        }

        public ModuleList<Linear> List { get; } = new(Linear(2, 2));

        public ModuleDict<Linear> Dict { get; } = new();

        public Linear Auto { get; } = Linear(2, 2);

        public override Tensor forward(Tensor input) => input * (blocks.Count + array.Length + named.Count + pairs.Count + numbers.Length);

        private sealed class Inner : Module<Tensor, Tensor>
        {
            private readonly Queue<Linear> deep = new([Linear(2, 2)]);

            public Inner() : base(nameof(Inner)) { }

            public override Tensor forward(Tensor input) => input * deep.Count;
        }
    }

    private sealed class Careful : Module<Tensor, Tensor>
    {
        private readonly ModuleList<Linear> blocks = new(Linear(2, 2), Linear(2, 2));
        private readonly List<Module> all = [];
        private readonly List<Module> functions = [ReLU(), Dropout()];
        private readonly Child child;

        public Careful() : base(nameof(Careful))
        {
            child = new(this);
            RegisterComponents();
            all.AddRange(blocks);
        }

        public override Tensor forward(Tensor input) => input * (all.Count + functions.Count);
    }

    private sealed class Child : Module<Tensor, Tensor>
    {
        private readonly List<Module> parents = [];
        private readonly Linear fc = Linear(2, 2);

        public Child(Module parent) : base(nameof(Child))
        {
            parents.Add(parent);
            RegisterComponents();
        }

        public override Tensor forward(Tensor input) => fc.call(input) * parents.Count;
    }
}

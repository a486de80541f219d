using System.Diagnostics.CodeAnalysis;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace TorchStab.Tests.Surgery.Models;

/// <summary>
/// Models that declare their norms by TorchSharp's classes, as many programs do, in every way C# has for it. EditTests changes this file's text as the
/// refusals say, compiles it and swaps. Each model takes (2, 4, 6, 6).
/// </summary>
internal static class TypedModels
{
    public static IEnumerable<Func<Module<Tensor, Tensor>>> All { get; } =
        [() => new Residual(), () => new Detector(), () => new Pyramid(), () => new Attentive(), () => new Styled(GroupNorm(2, 4)).Registered(),
            () => new Derived(), () => new Captured(),
            () => new Recorded() { Needed = LayerNorm(6) }];

    /// <summary>A residual block: two norms in one declaration, one that may be missing.</summary>
    private sealed class Residual : Module<Tensor, Tensor>
    {
        private readonly Conv2d conv1 = Conv2d(4, 4, 3, padding: 1), conv2 = Conv2d(4, 4, 3, padding: 1);
        private readonly BatchNorm2d bn1 = BatchNorm2d(4), bn2 = BatchNorm2d(4);
        private readonly BatchNorm2d? shortcut;

        public Residual() : base(nameof(Residual))
        {
            shortcut = BatchNorm2d(4);
            RegisterComponents();
        }

        public override Tensor forward(Tensor x) =>
            functional.relu(bn2.call(conv2.call(functional.relu(bn1.call(conv1.call(x))))) + (shortcut is null ? x : shortcut.call(x)));
    }

    /// <summary>A detector's convolution, which folds its own norm and so reads the norm's tensors.</summary>
    private sealed class Detector : Module<Tensor, Tensor>
    {
        private readonly Conv2d conv = Conv2d(4, 4, 1, bias: false);
        private readonly BatchNorm2d bn = BatchNorm2d(4, eps: 1e-3, momentum: 0.03);
        private readonly List<BatchNorm2d> heads = [BatchNorm2d(4), BatchNorm2d(4)];

        public Detector() : base(nameof(Detector))
        {
            RegisterComponents();
            for (int i = 0; i < heads.Count; i++) register_module($"head{i}", heads[i]);
        }

        public Tensor Folded() => conv.weight! * (bn.weight! / (bn.running_var! + bn.eps).sqrt()).view(-1, 1, 1, 1);

        public override Tensor forward(Tensor x) => heads.Aggregate(functional.silu(bn.call(conv.call(x))), (y, head) => head.call(y));
    }

    /// <summary>Containers: a ModuleList, a dictionary, an array, a tuple.</summary>
    private sealed class Pyramid : Module<Tensor, Tensor>
    {
        private readonly ModuleList<InstanceNorm2d> levels = ModuleList(InstanceNorm2d(4), InstanceNorm2d(4, affine: true));
        private readonly Dictionary<string, BatchNorm2d> byName = new() { ["a"] = BatchNorm2d(4) };
        private readonly GroupNorm[] groups = [GroupNorm(2, 4), GroupNorm(4, 4)];
        private readonly (BatchNorm2d norm, int count) pair = (BatchNorm2d(4), 2);

        public Pyramid() : base(nameof(Pyramid))
        {
            register_module("a", byName["a"]);
            for (int i = 0; i < groups.Length; i++) register_module($"group{i}", groups[i]);
            register_module("pair", pair.norm);
            RegisterComponents();
        }

        public override Tensor forward(Tensor x)
        {
            foreach (var level in levels) x = level.call(x);
            foreach (var norm in groups) x = norm.call(x);
            return pair.norm.call(byName["a"].call(x)) * pair.count;
        }
    }

    /// <summary>Properties of every kind.</summary>
    private sealed class Attentive : Module<Tensor, Tensor>
    {
        public Attentive() : base(nameof(Attentive)) => RegisterComponents();

        public LayerNorm Before { get; } = LayerNorm(6);

        public LayerNorm After { get; init; } = LayerNorm([6, 6]);

        public LayerNorm Last { get; private set; } = LayerNorm(6);

        internal LayerNorm Inner { get; set; } = LayerNorm(6);

        public override Tensor forward(Tensor x) => Inner.call(Last.call(After.call(x + Before.call(x).softmax(-1))));
    }

    /// <summary>A primary constructor's parameter.</summary>
    private sealed class Styled(GroupNorm norm) : Module<Tensor, Tensor>(nameof(Styled))
    {
        private readonly Linear style = Linear(6, 6);

        public Styled Registered()
        {
            register_module("norm", norm);
            register_module("style", style);
            return this;
        }

        public override Tensor forward(Tensor x) => style.call(norm.call(x));
    }

    /// <summary>A field of a base class.</summary>
    private abstract class Based(string name) : Module<Tensor, Tensor>(name)
    {
        [SuppressMessage("Design", "CA1051", Justification = "as programs have it")]
        protected readonly BatchNorm2d norm = BatchNorm2d(4);

        public virtual BatchNorm2d Second { get; } = BatchNorm2d(4);
    }

    private sealed class Derived : Based
    {
        private readonly Conv2d conv = Conv2d(4, 4, 1);

        public Derived() : base(nameof(Derived)) => RegisterComponents();

        public override Tensor forward(Tensor x) => Second.call(norm.call(conv.call(x)));
    }

    /// <summary>A variable that a lambda captures.</summary>
    private sealed class Captured : Module<Tensor, Tensor>
    {
        private readonly Func<Tensor, Tensor> way;

        public Captured() : base(nameof(Captured))
        {
            BatchNorm2d captured = BatchNorm2d(4);
            way = x => captured.call(x).relu();
            register_module("captured", captured);
        }

        public override Tensor forward(Tensor x) => way(x);
    }

    /// <summary>A record around norms, some of which may be missing, and properties with a body or modifiers.</summary>
    private sealed record Pair(BatchNorm2d First, List<BatchNorm2d?> Rest);

    private sealed class Recorded : Module<Tensor, Tensor>
    {
        private readonly Pair pair = new(BatchNorm2d(4), [null, BatchNorm2d(4)]);

        public Recorded() : base(nameof(Recorded))
        {
            register_module("first", pair.First);
            register_module("rest", pair.Rest[1]!);
            register_module("counted", Counted);
        }

        public required LayerNorm Needed
        {
            get => field;
            set
            {
                field = value;
                register_module("needed", field);
            }
        }

        public int Sets { get; private set; }

        private LayerNorm Counted
        {
            get => field;
            set
            {
                field = value;
                Sets++;
            }
        } = LayerNorm(6);

        public override Tensor forward(Tensor x) =>
            pair.Rest.OfType<Module<Tensor, Tensor>>().Aggregate(pair.First.call(Counted.call(Needed.call(x))), (y, norm) => norm.call(y));
    }
}

using TorchSharp.Modules;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Comparisons;

/// <summary>
/// The highest anchor that there is: PyTorch's <c>fused=True</c>, which TorchSharp does not offer (libtorch's <c>_fused_adam_</c>, <c>_fused_adamw_</c> and
/// <c>_fused_sgd_</c>, called through its C interface). Our clip, check for NaN and update, against that update alone and behind TorchSharp's
/// <c>clip_grad_norm_</c>.
/// </summary>
internal sealed class FusedAnchor : IComparison
{
    private const double MaxNorm = 1, Agreement = 1e-5;

    // The gradients' extra pass makes 32 bytes of each element against 28, so 0.875 is the limit where memory decides.
    private const double Limit = 0.875;

    private static readonly Rule[] Rules =
    [
        new("Adam", new FusedAdam(false, 1e-3, 0.9, 0.999, 1e-8, 0, false, false), 2, p => stab.optim.Adam(p, global_clipnorm: MaxNorm)),
        new("AdamW", new FusedAdam(true, 1e-3, 0.9, 0.999, 1e-8, 1e-2, false, false), 2,
            p => stab.optim.AdamW(p, weight_decay: 1e-2, global_clipnorm: MaxNorm)),
        new("SGD momentum", new FusedSGD(1e-3, 0.9, 0, 1e-4, false, false), 1,
            p => stab.optim.SGD(p, 1e-3, momentum: 0.9, weight_decay: 1e-4, global_clipnorm: MaxNorm)),
    ];

    private sealed record Rule(string Name, FusedUpdate Update, int Moments, Func<List<Parameter>, TorchStab.Modules.ClippingAwareOptimizer> Ours);

    public string Name => "clip + step, fused anchor";

    public IEnumerable<Pair> Cases(bool quick)
    {
        foreach (var rule in Rules)
        {
            foreach (var (name, shapes) in Lists().Take(quick ? 1 : int.MaxValue))
            {
                bool large = shapes.Sum(s => s.Aggregate(1L, (a, b) => a * b)) >= 10_000_000;
                yield return Case($"{rule.Name}, {name} (update alone)", rule, shapes, clips: false, atLeast: large ? Limit : 1);
                yield return Case($"{rule.Name}, {name} (with clip_grad_norm_)", rule, shapes, clips: true, atLeast: null);
            }
        }
    }

    private static IEnumerable<(string Name, List<long[]> Shapes)> Lists() =>
    [
        ("200 × 64×64", ParameterLists.Same(200, 64, 64)), ("400 × 128", ParameterLists.Same(400, 128)), ("ResNet-18, 11.7 M", ParameterLists.ResNet18()),
        ("GPT, 13.8 M", ParameterLists.Gpt()),
    ];

    private static Pair Case(string name, Rule rule, List<long[]> shapes, bool clips, double? atLeast)
    {
        if (!rule.Update.Works(CPU)) throw new InvalidOperationException($"{name}: this libtorch has no fused update");
        var sides = new Sides(name, rule, shapes, clips);
        return new(name, sides.Libtorch, sides.Ours, (4 + (2 * rule.Moments)) * sizeof(float) * sides.Elements, atLeast,
            Verify: clips ? sides.Verify : null, Release: sides.Dispose);
    }

    /// <summary>The same parameters twice: with moments of our own for libtorch's operation, and with our optimizer.</summary>
    private sealed class Sides : IDisposable
    {
        private readonly string _name;
        private readonly bool _clips;
        private readonly FusedUpdate _update;
        private readonly List<Parameter> _theirs, _mine;
        private readonly List<Tensor> _gradients, _moments = [];
        private readonly Tensor _age = zeros([], ScalarType.Float32, CPU);
        private readonly FusedTensors _tensors;
        private readonly TorchStab.Modules.ClippingAwareOptimizer _ours;

        public Sides(string name, Rule rule, List<long[]> shapes, bool clips)
        {
            (_name, _clips, _update) = (name, clips, rule.Update);
            (_theirs, _mine) = (ParameterLists.WithGradients(shapes, 1), ParameterLists.WithGradients(shapes, 1));
            _gradients = _theirs.ConvertAll(p => p.grad!);
            for (int k = 0; k < rule.Moments; k++) _moments.AddRange(_theirs.Select(p => zeros_like(p).detach()));
            var first = _moments.Take(_theirs.Count);
            var second = _moments.Skip(_theirs.Count);
            _tensors = new(Handles(_theirs), Handles(_gradients), Handles(first), Handles(second), [], [], _age.Handle, IsFirst: false,
                new StepNumbers(ScalarType.Float32, CPU));
            _ours = rule.Ours(_mine);
        }

        public long Elements => ParameterLists.Elements(_mine);

        public void Libtorch()
        {
            using var _ = no_grad();
            if (_clips) nn.utils.clip_grad_norm_(_theirs, MaxNorm);
            _age.add_(1);
            _update.Run(_tensors);
        }

        public void Ours() => _ours.step();

        public void Verify()
        {
            Libtorch();
            Ours();
            ParameterLists.RequireSame(_name, _theirs, _mine, Agreement);
        }

        public void Dispose()
        {
            _ours.Dispose();
            _age.Dispose();
            foreach (var tensor in _moments.Concat(_gradients).Concat(_theirs).Concat(_mine)) tensor.Dispose();
        }

        private static nint[] Handles(IEnumerable<Tensor> tensors) => [.. tensors.Select(t => t.Handle)];
    }
}

using TorchSharp.Modules;
using TorchStab.Benchmarks.Comparisons.Networks;
using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Comparisons;

/// <summary>
/// One whole training step: forward, loss, backward, clip by the global norm, update. torch.nn's norms and torch.optim's optimizer after
/// <c>clip_grad_norm_</c>, against this package's norms and optimizer; everything else of the networks is the same.
/// </summary>
internal sealed class TrainingStep : IComparison
{
    private const double MaxNorm = 1, Momentum = 0.9, Decay = 1e-4;

    // Steps from one start drift apart as rounding does; a wrong gradient or update is off by far more after three.
    private const int VerifiedSteps = 3;
    private const double Agreement = 1e-3;

    public string Name => "training step";

    public IEnumerable<Pair> Cases(bool quick)
    {
        yield return ResNet(16, quick ? 8 : 64, (1.05, 1.2));
        if (quick) yield break;
        yield return Transformer(384, 4, 64, 8000, (1.25, 1.45));
    }

    private static Pair ResNet(long width, long batch, (double, double) target) => Case(
        $"ResNet-14 width {width}, {batch}×3×32×32, SGD momentum",
        norms => new SmallResNet(norms, width, 10), () => (randn(batch, 3, 32, 32), randint(10, batch, ScalarType.Int64)),
        parameters => optim.SGD(parameters, 0.01, Momentum, weight_decay: Decay),
        parameters => stab.optim.SGD(parameters, 0.01, Momentum, weight_decay: Decay, global_clipnorm: MaxNorm), target);

    private static Pair Transformer(long width, long batch, long length, long vocabulary, (double, double) target) => Case(
        $"transformer 6×{width}, vocabulary {vocabulary}, {batch}×{length} tokens, AdamW",
        norms => new SmallTransformer(norms, vocabulary, length, width, layers: 6, heads: 6),
        () => (randint(vocabulary, [batch, length], ScalarType.Int64), randint(vocabulary, batch * length, ScalarType.Int64)),
        parameters => optim.AdamW(parameters, 3e-4, weight_decay: Decay),
        parameters => stab.optim.AdamW(parameters, 3e-4, weight_decay: Decay, global_clipnorm: MaxNorm), target);

    private static Pair Case(string name, Func<NormFamily, nn.Module<Tensor, Tensor>> make, Func<(Tensor, Tensor)> batch,
        Func<IEnumerable<Parameter>, optim.Optimizer> libtorch, Func<IEnumerable<Parameter>, ClippingAwareOptimizer> ours, (double AtLeast, double Aim) target)
    {
        manual_seed(1);
        var theirs = make(NormFamily.Libtorch);
        manual_seed(1);
        var mine = make(NormFamily.TorchStab);
        var (input, labels) = batch();
        optim.Optimizer first = libtorch(theirs.parameters()), second = ours(mine.parameters());
        // Every parameter and gradient at least once in each of: forward, backward, norm, update.
        long bytes = 8 * sizeof(float) * mine.parameters().Sum(p => p.numel());
        return new(name, () => Libtorch(), () => Ours(), bytes, target.AtLeast, target.Aim, Verify, Release);

        double Libtorch() => Step(theirs, first, () => nn.utils.clip_grad_norm_(theirs.parameters(), MaxNorm), input, labels);

        double Ours() => Step(mine, second, null, input, labels);

        void Verify()
        {
            for (int i = 0; i < VerifiedSteps; i++)
                if (Math.Abs(Libtorch() - Ours()) is var off && !(off <= Agreement)) throw new InvalidOperationException($"{name}: the losses differ by {off}");
        }

        void Release()
        {
            foreach (IDisposable used in new IDisposable[] { first, second, theirs, mine, input, labels }) used.Dispose();
        }
    }

    /// <summary>One step; the forward pass and the loss in autocast to bfloat16 if <paramref name="half"/>.</summary>
    public static double Step(nn.Module<Tensor, Tensor> network, optim.Optimizer optimizer, Action? clip, Tensor input, Tensor labels, bool half = false)
    {
        using var scope = NewDisposeScope();
        optimizer.zero_grad();
        Tensor loss;
        using (half ? stab.amp.autocast() : null)
        {
            var output = network.call(input);
            loss = nn.functional.cross_entropy(output.view(labels.size(0), -1), labels);
        }
        loss.backward();
        clip?.Invoke();
        optimizer.step();
        return loss.item<float>();
    }
}

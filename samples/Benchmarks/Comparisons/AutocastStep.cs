using TorchStab.Benchmarks.Comparisons.Networks;
using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Comparisons;

/// <summary>
/// One whole training step in autocast to bfloat16 against the same in float32: both sides have this package's norms and optimizer. A processor with
/// bfloat16 instructions multiplies matrices faster; the weights, their gradients and the step stay float32.
/// </summary>
internal sealed class AutocastStep : IComparison
{
    // A loss of about 9 in bfloat16's eight bits, after a few steps from one start.
    private const int VerifiedSteps = 3;
    private const double Agreement = 0.1;

    public string Name => "bfloat16 autocast";

    public IEnumerable<Pair> Cases(bool quick)
    {
        if (!stab.amp.is_autocast_available(TorchSharp.DeviceType.CPU)) yield break;
        yield return Case("3 MLP blocks of 512, 512 rows, AdamW (float32)", Blocks, () => (randn(512, 512), randint(512, 512, ScalarType.Int64)));
        if (quick) yield break;
        yield return Case("transformer 6×384, vocabulary 8000, 4×64 tokens, AdamW (float32)",
            () => new SmallTransformer(NormFamily.TorchStab, 8000, 64, 384, layers: 6, heads: 6),
            () => (randint(8000, [4, 64], ScalarType.Int64), randint(8000, 4 * 64, ScalarType.Int64)));
    }

    private static nn.Module<Tensor, Tensor> Blocks()
    {
        var blocks = nn.Sequential();
        for (int i = 0; i < 3; i++) blocks.append(stab.nn.LayerNorm(512)).append(nn.Linear(512, 2048)).append(nn.GELU()).append(nn.Linear(2048, 512));
        return blocks;
    }

    private static Pair Case(string name, Func<nn.Module<Tensor, Tensor>> make, Func<(Tensor, Tensor)> batch)
    {
        manual_seed(1);
        var single = make();
        manual_seed(1);
        var half = make();
        var (input, labels) = batch();
        ClippingAwareOptimizer first = New(single), second = New(half);
        return new(name, () => Single(), () => Half(), 8 * sizeof(float) * half.parameters().Sum(p => p.numel()), Verify: Verify, Release: Release);

        double Single() => TrainingStep.Step(single, first, null, input, labels);

        double Half() => TrainingStep.Step(half, second, null, input, labels, half: true);

        void Verify()
        {
            for (int i = 0; i < VerifiedSteps; i++)
                if (Math.Abs(Single() - Half()) is var off && !(off <= Agreement)) throw new InvalidOperationException($"{name}: the losses differ by {off}");
        }

        void Release()
        {
            foreach (IDisposable used in new IDisposable[] { first, second, single, half, input, labels }) used.Dispose();
        }
    }

    private static AdamW New(nn.Module<Tensor, Tensor> network) => stab.optim.AdamW(network.parameters(), 3e-4, global_clipnorm: 1);
}

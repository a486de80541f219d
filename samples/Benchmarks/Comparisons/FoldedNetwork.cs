using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Comparisons;

/// <summary>A convolutional network in eval mode with torch.nn's BatchNorms as they are, against the same network folded by <c>fuse_norms</c>.</summary>
internal sealed class FoldedNetwork : IComparison
{
    private const double Agreement = 1e-5;

    public string Name => "eval CNN, folded";

    public IEnumerable<Pair> Cases(bool quick)
    {
        yield return Case(16, 1, 64);
        if (quick) yield break;
        yield return Case(32, 8, 64);
        yield return Case(64, 4, 112);
    }

    private static Pair Case(long width, long batch, long size)
    {
        var (plain, folded) = (Network(width), Network(width));
        folded.load_state_dict(plain.state_dict());
        stab.nn.utils.fuse_norms(folded);
        var input = randn(batch, 3, size, size);
        // Two layers a stage, each reads and writes its map; a stage has half the values of the one before: 1 + 1/2 + 1/4.
        long bytes = sizeof(float) * batch * size * size * width * 2 * 2 * 7 / 4;
        return new($"{batch}×3×{size}×{size}, width {width}", () => Run(plain), () => Run(folded), bytes, AtLeast: 1, Verify: Verify, Release: Release);

        void Run(Sequential network)
        {
            using var _ = no_grad();
            network.call(input).Dispose();
        }

        void Verify()
        {
            using var scope = NewDisposeScope();
            using var _ = no_grad();
            var expected = plain.call(input);
            double worst = ((folded.call(input) - expected).abs().max() / expected.abs().max()).item<float>();
            if (!(worst <= Agreement)) throw new InvalidOperationException($"the folded network is off by {worst}");
        }

        void Release()
        {
            plain.Dispose();
            folded.Dispose();
            input.Dispose();
        }
    }

    private static Sequential Network(long width)
    {
        var network = nn.Sequential();
        long channels = 3;
        for (int stage = 0; stage < 3; stage++)
            for (int layer = 0; layer < 2; layer++)
            {
                long next = width << stage;
                network.append(nn.Conv2d(channels, next, 3, stride: layer == 0 && stage > 0 ? 2 : 1, padding: 1, bias: false));
                network.append(nn.BatchNorm2d(next));
                network.append(nn.ReLU(inplace: true));
                channels = next;
            }
        network.eval();
        return network;
    }
}

using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Comparisons;

/// <summary>Ten training steps without, and with both monitors sampling one of the ten: what watching costs.</summary>
internal sealed class Monitors : IComparison
{
    private const int Steps = 10;

    public string Name => "10 steps, monitored";

    public IEnumerable<Pair> Cases(bool quick)
    {
        yield return Case("10 × 100 ReLU+BN, batch 100", () => Deep(784, 100, 10), [100, 784]);
        if (quick) yield break;
        yield return Case("4 × 1024 ReLU+BN, batch 64", () => Deep(784, 1024, 4), [64, 784]);
        yield return Case("CNN 32-32-64-64-128, 32×3×32×32", Convolutional, [32, 3, 32, 32]);
    }

    private static Pair Case(string name, Func<Sequential> make, long[] batch)
    {
        // From one seed both take the same way: a batch learnt by heart may end in denormals, which processors are slow at.
        manual_seed(1);
        var plain = make();
        manual_seed(1);
        var watched = make();
        optim.Optimizer first = stab.optim.Adam(plain.parameters()), second = stab.optim.Adam(watched.parameters());
        var gradients = new GradientMonitor(watched);
        var activations = new ActivationMonitor(watched);
        Tensor input = randn(batch), labels = randint(10, batch[0], ScalarType.Int64);
        long bytes = sizeof(float) * Steps * plain.parameters().Sum(p => p.numel());
        return new(name, () => Train(plain, first, () => first.step()), () => Train(watched, second, () => gradients.Step(second)), bytes,
            AtLeast: 0.97, Release: Release);

        void Train(Sequential network, optim.Optimizer optimizer, Action step)
        {
            for (int i = 0; i < Steps; i++)
            {
                using var scope = NewDisposeScope();
                optimizer.zero_grad();
                nn.functional.cross_entropy(network.call(input), labels).backward();
                step();
            }
        }

        void Release()
        {
            foreach (IDisposable used in new IDisposable[] { gradients, activations, first, second, plain, watched, input, labels }) used.Dispose();
        }
    }

    private static Sequential Deep(long inputs, long width, int depth)
    {
        var network = nn.Sequential();
        for (int i = 0; i < depth; i++)
        {
            network.append(nn.Linear(i == 0 ? inputs : width, width));
            network.append(stab.nn.BatchNorm1d(width));
            network.append(nn.ReLU());
        }
        network.append(nn.Linear(width, 10));
        return network;
    }

    private static Sequential Convolutional()
    {
        var network = nn.Sequential();
        long channels = 3;
        foreach (long next in new long[] { 32, 32, 64, 64, 128 })
        {
            network.append(nn.Conv2d(channels, next, 3, stride: next > channels && channels > 3 ? 2 : 1, padding: 1, bias: false));
            network.append(stab.nn.BatchNorm2d(next));
            network.append(nn.ReLU());
            channels = next;
        }
        network.append(nn.AdaptiveAvgPool2d(1));
        network.append(nn.Flatten());
        network.append(nn.Linear(channels, 10));
        return network;
    }
}

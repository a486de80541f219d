using TorchSharp.Modules;
using TorchStab.Distributed;
using static TorchSharp.torch;

namespace TorchStab.Tests.Distributed;

/// <summary>A small network and batches for several ranks to share.</summary>
internal static class Shards
{
    public const int Steps = 4;

    public static readonly long[][] Splits = [[3, 3], [5, 1], [0, 6], [2, 3, 1]];

    /// <summary>A thread for each rank; gradients are summed in messages, or through memory that the ranks share.</summary>
    public static void OnRanks(long[] split, Action<int> body, bool shared = false)
    {
        using var memory = new RanksMemory(split.Length);
        InProcessCollective.Run(split.Length, collective =>
        {
            using var group = shared ? new ProcessGroup(new SharingRank(collective, memory)) : null;
            if (group is not null) ProcessGroups.UseOnThisThread(group);
            body(collective.Rank);
        });
    }

    // Threads share libtorch's generator: networks come from formulas.
    public static Sequential Network(int seed, bool norms)
    {
        var layers = new List<(string, nn.Module<Tensor, Tensor>)> { ("first", nn.Linear(4, 8, dtype: ScalarType.Float64)), ("act", nn.Tanh()),
            ("last", nn.Linear(8, 3, dtype: ScalarType.Float64)) };
        if (norms) layers.Insert(1, ("norm", nn.BatchNorm1d(8, dtype: ScalarType.Float64)));
        var network = nn.Sequential(layers);
        using var _ = no_grad();
        foreach (var (i, p) in network.parameters().Index()) p.copy_((arange(p.numel(), ScalarType.Float64) * (seed + i + 1)).sin().view(p.shape));
        return network;
    }

    public static void Copy(nn.Module from, nn.Module to)
    {
        using var _ = no_grad();
        foreach (var (source, target) in from.parameters().Zip(to.parameters())) target.copy_(source);
    }

    public static List<(Tensor X, Tensor Y)> Data()
    {
        manual_seed(7);
        return [.. Enumerable.Range(0, Steps).Select(_ => (randn(6, 4, ScalarType.Float64), randn(6, 3, ScalarType.Float64)))];
    }

    public static Tensor Part(Tensor t, long[] split, int rank) => t.narrow(0, split[..rank].Sum(), split[rank]);

    public static Tensor Loss(nn.Module<Tensor, Tensor> model, Tensor x, Tensor y) => nn.functional.mse_loss(model.call(x), y);

    public static void Step(nn.Module<Tensor, Tensor> model, optim.Optimizer optimizer, Tensor x, Tensor y, Action? beforeStep = null)
    {
        using var scope = NewDisposeScope();
        optimizer.zero_grad();
        Loss(model, x, y).backward();
        beforeStep?.Invoke();
        optimizer.step();
    }

    // Small whole numbers: sums are exact in any dtype.
    public static Tensor Increasing(Tensor like, int from, ScalarType dtype) =>
        ((arange(like.numel(), ScalarType.Int64) % 16) + from).to(dtype).view(like.shape);
}

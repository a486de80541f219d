using TorchStab.Dispatch;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Distributed;

/// <summary>
/// Derivatives of derivatives through the exchanges, against one process with the whole batch: autograd.grad would end the process on an error.
/// </summary>
public class SecondDerivativeTests
{
    private const long Batch = 8, Channels = 3;

    public static TheoryData<int, bool, bool> Cases =>
        new() { { 2, true, true }, { 4, true, true }, { 4, false, true }, { 2, true, false }, { 3, false, false } };

    [Theory]
    [MemberData(nameof(Cases))]
    public void Of_SyncBatchNorm_are_those_of_the_whole_batch(int dims, bool affine, bool pooled)
    {
        using var form = KernelForm.Kernel(pooled ? AutogradKind.Pooled : AutogradKind.Function);
        manual_seed(dims);
        using var scope = NewDisposeScope();
        long[] shape = [Batch, Channels, .. Enumerable.Repeat(2L, dims - 2)];
        Tensor[] data = [.. Enumerable.Range(0, 3).Select(_ => randn(shape, ScalarType.Float64))];
        var expected = Penalty(data, affine, sync: false);
        foreach (long[] split in new long[][] { [4, 4], [1, 7], [0, 8], [3, 0, 5] })
        {
            var found = new Tensor[split.Length][];
            Shards.OnRanks(split, rank => found[rank] =
                [.. Penalty([.. data.Select(t => Shards.Part(t, split, rank))], affine, sync: true).Select(t => t.DetachFromDisposeScope())]);
            string what = $"of [{string.Join(", ", split)}]";
            for (int i = 0; i < 2; i++) Compare.Close(expected[i], cat([.. found.Select(f => f[i])]), $"derivative {i} {what}", Tolerance.Synced);
            if (affine) Compare.Close(expected[2], found.Select(f => f[2]).Aggregate((a, b) => a + b), $"derivative of the weight {what}", Tolerance.Synced);
        }
    }

    [Fact]
    public void Third_derivatives_come_too()
    {
        Shards.OnRanks([2, 3], rank =>
        {
            using var norm = stab.nn.SyncBatchNorm(2, dtype: ScalarType.Float64);
            var y = arange(2 * (rank + 2), ScalarType.Float64).sin().view(-1, 2).requires_grad_();
            var derivative = y;
            for (int order = 0; order < 3; order++)
                derivative = autograd.grad([(order == 0 ? norm.call(y) : derivative).pow(3).sum()], [y], retain_graph: true, create_graph: true)[0];
            Assert.True(derivative.isfinite().all().item<bool>());
        });
    }

    [Fact]
    public void Go_through_DistributedDataParallel_with_the_ranks_share()
    {
        Shards.OnRanks([3, 1], rank =>
        {
            using var ddp = stab.nn.DistributedDataParallel(nn.Linear(2, 1, dtype: ScalarType.Float64));
            var x = ones(rank == 0 ? 3 : 1, 2, ScalarType.Float64).requires_grad_();
            var gradient = autograd.grad([ddp.call(x).square().sum()], [x], retain_graph: true, create_graph: true)[0];
            var second = autograd.grad([gradient.sum()], [x])[0];
            // d²/dx² of share·(wx + b)²: the share comes in with each pass through the weighing.
            var w = ddp.parameters().First();
            Compare.Close((2 * w * w.sum() * Math.Pow(rank == 0 ? 0.75 : 0.25, 2)).expand_as(x), second, "second derivative", Tolerance.Synced);
        });
    }

    // P = Σ v·dL/dx of L = Σ u·norm(x)²: its derivatives by x, u and the weight.
    private static Tensor[] Penalty(Tensor[] data, bool affine, bool sync)
    {
        nn.Module<Tensor, Tensor> norm = sync ? stab.nn.SyncBatchNorm(Channels, affine: affine, dtype: ScalarType.Float64)
            : data[0].dim() == 4 ? nn.BatchNorm2d(Channels, affine: affine, dtype: ScalarType.Float64)
                : nn.BatchNorm1d(Channels, affine: affine, dtype: ScalarType.Float64);
        using (no_grad())
            foreach (var (i, p) in norm.parameters().Index()) p.copy_(tensor([0.5, -1.5, 2]).add(i));
        Tensor[] wanted = [data[0].detach().clone().requires_grad_(), data[1].detach().clone().requires_grad_(), .. norm.parameters().Take(1)];
        var loss = (norm.call(wanted[0]).square() * wanted[1]).sum();
        var gradient = autograd.grad([loss], [wanted[0]], retain_graph: true, create_graph: true)[0];
        return [.. autograd.grad([(gradient * data[2]).sum()], wanted)];
    }
}

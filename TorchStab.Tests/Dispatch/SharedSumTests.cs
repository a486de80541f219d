using TorchStab.Dispatch;
using TorchStab.Tests.Distributed;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Dispatch;

/// <summary>Sums of any tensors over any number of ranks that share memory, against torch.add in the ranks' order: the same bits.</summary>
public class SharedSumTests
{
    /// <summary>Around a cache line, a block, a piece of 1 MiB and two of them, in elements of 4 and 8 bytes.</summary>
    private static readonly long[] Sizes = [0, 1, 3, 15, 16, 17, 127, 4095, 4096, 5000, 131071, 262144, 262145, 600000];

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(5)]
    public void Is_the_sum_in_the_ranks_order_whatever_the_sizes(int ranks)
    {
        using var scope = NewDisposeScope();
        var random = new Random(ranks);
        manual_seed(ranks);
        var cases = Enumerable.Range(0, 12).Select(_ => Draw(ranks, random)).ToList();
        OnRanks(ranks, (shared, rank) =>
        {
            foreach (var (given, expected) in cases)
            {
                Tensor[] own = [.. given[rank].Select(t => t.clone())];
                Sum(shared, own);
                foreach (var (n, tensor) in own.Index())
                {
                    Compare.Identical(expected[n], tensor, $"sum {n} of {string.Join(", ", own.Select(t => t.numel()))} elements");
                    Assert.True(shared.WasFinite(n));
                }
                shared.Clear();
            }
        });
    }

    [Fact]
    public void Tells_which_of_a_ranks_own_tensors_were_not_finite()
    {
        OnRanks(3, (shared, rank) =>
        {
            foreach (long size in Sizes.Where(n => n > 0))
                foreach (long at in new[] { 0, size / 3, size / 2, size - 1 })
                {
                    using var scope = NewDisposeScope();
                    Tensor[] own = [ones(7), ones(size), ones(size)];
                    if (rank == 1) own[1][at] = at % 2 == 0 ? double.NaN : double.NegativeInfinity;
                    Sum(shared, own);
                    Assert.Equal([true, rank != 1, true], Enumerable.Range(0, 3).Select(shared.WasFinite));
                    Assert.False(own[1][at].isfinite().item<bool>());
                    Assert.True(own[2].eq(3).all().item<bool>());
                    shared.Clear();
                }
        });
    }

    [Fact]
    public void A_backward_pass_that_saved_the_old_values_is_an_error()
    {
        OnRanks(2, (shared, _) =>
        {
            var (saved, other) = (ones(3), ones(3).requires_grad_());
            var loss = (saved * other).sum();
            Sum(shared, [saved]);
            shared.Clear();
            Assert.Contains("has been modified by an inplace operation", Assert.ThrowsAny<Exception>(() => loss.backward()).Message);
        });
    }

    private static void OnRanks(int ranks, Action<SharedSum, int> body)
    {
        using var memory = new RanksMemory(ranks);
        InProcessCollective.Run(ranks, collective => body(new SharedSum(collective.Rank, memory.Parts, collective.Barrier), collective.Rank));
    }

    private static void Sum(SharedSum shared, Tensor[] tensors)
    {
        foreach (var tensor in tensors) shared.Append(TensorView.Of(tensor));
        shared.Sum();
        GC.KeepAlive(tensors);
    }

    // What each rank brings, and the sums.
    private static (Tensor[][] Given, Tensor[] Expected) Draw(int ranks, Random random)
    {
        var dtype = random.Next(2) == 0 ? ScalarType.Float32 : ScalarType.Float64;
        long[] sizes = [.. Enumerable.Range(0, random.Next(6)).Select(_ => Sizes[random.Next(Sizes.Length)])];
        Tensor[][] given = [.. Enumerable.Range(0, ranks).Select(_ => Array.ConvertAll(sizes, n => randn(n, dtype)))];
        return (given, [.. sizes.Select((_, n) => given.Select(own => own[n]).Aggregate((sum, term) => sum + term))]);
    }
}

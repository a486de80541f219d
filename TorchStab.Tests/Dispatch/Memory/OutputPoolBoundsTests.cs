using TorchStab.Dispatch;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Dispatch.Memory;

/// <summary>How much memory a pool keeps, and for how long.</summary>
public sealed class OutputPoolBoundsTests
{
    private readonly ManualTime _time = new();
    private readonly OutputPool _pool;

    public OutputPoolBoundsTests() => _pool = new(_time);

    [Fact]
    public void It_holds_at_most_what_was_in_use_at_once_and_one_block()
    {
        var random = new Random(3);
        List<Tensor> used = [];
        long most = 0, largest = 0;
        for (int i = 0; i < 2000; i++)
        {
            if (used.Count > 0 && random.Next(used.Count + 6) < used.Count)
            {
                int which = random.Next(used.Count);
                used[which].Dispose();
                used.RemoveAt(which);
            }
            else
            {
                used.Add(Take(random.Next(1, 30)));
            }
            long inUse = used.Sum(t => t.numel() * sizeof(float));
            (most, largest) = (Math.Max(most, inUse), Math.Max(largest, used.Append(null).Max(t => t?.numel() * sizeof(float) ?? 0)));
            var (held, seen) = (_pool.Statistics().BytesHeld, _pool.Statistics().BytesInUse);
            Assert.Equal(inUse, seen);
            Assert.InRange(held, inUse, most + largest);
            _time.Pass(0.01);
        }
        Assert.InRange(_pool.Statistics().Hits, 1, 2000);
        used.ForEach(t => t.Dispose());
    }

    [Fact]
    public void Sizes_that_follow_one_another_are_all_kept_if_they_are_small_beside_the_largest()
    {
        for (int pass = 0; pass < 5; pass++)
            foreach (long size in new[] { 64L, 32, 16, 8 }) Take(size).Dispose();
        Assert.InRange(_pool.Statistics().Misses, 4, 5);
    }

    [Fact]
    public void The_free_block_that_was_used_longest_ago_makes_room()
    {
        List<Tensor> first = [Take(10), Take(12), Take(20)];
        first.ForEach(t => t.Dispose());
        foreach (long size in new[] { 10, 20, 11, 9 }) // the last one needs room: the block of 12 is the oldest
        {
            _time.Pass(0.1);
            Take(size).Dispose();
        }
        long misses = _pool.Statistics().Misses;
        Take(10).Dispose();
        Assert.Equal(misses, _pool.Statistics().Misses);
        Take(12).Dispose();
        Assert.Equal(misses + 1, _pool.Statistics().Misses);
    }

    [Fact]
    public void What_is_not_used_any_more_is_given_back_and_the_timer_rests()
    {
        Assert.False(_time.TimerRuns);
        var kept = Take(5);
        Take(10).Dispose();
        Assert.True(_time.TimerRuns);
        _time.Pass(3);
        Assert.Equal(60, _pool.Statistics().BytesHeld);
        Take(10).Dispose();
        _time.Pass(3);
        Assert.Equal(60, _pool.Statistics().BytesHeld);
        _time.Pass(4);
        Assert.Equal((20, 20), (_pool.Statistics().BytesHeld, _pool.Statistics().BytesInUse));
        Assert.True(_time.TimerRuns);
        _time.Pass(100);
        kept.Dispose();
        _time.Pass(2);
        Assert.Equal(0, _pool.Statistics().BytesHeld);
        Assert.False(_time.TimerRuns);
        Take(10).Dispose();
        Assert.True(_time.TimerRuns);
    }

    [Fact]
    public void A_block_that_the_work_has_no_more_use_for_is_given_back_while_the_work_goes_on()
    {
        Take(10).Dispose();
        for (int second = 0; second < 40; second++)
        {
            Take(7).Dispose();
            _time.Pass(1);
        }
        Assert.Equal(28, _pool.Statistics().BytesHeld);
    }

    [Fact]
    public void All_free_blocks_are_given_back_on_request()
    {
        using var kept = Take(5);
        Take(10).Dispose();
        Take(5).Dispose();
        _pool.GiveUpFree();
        Assert.Equal((20, 20), (_pool.Statistics().BytesHeld, _pool.Statistics().BytesInUse));
        kept.Dispose();
        Take(5).Dispose(); // the kept one is free now
        Assert.Equal((1, 3), (_pool.Statistics().Hits, _pool.Statistics().Misses));
        _pool.GiveUpFree();
        Assert.Equal(0, _pool.Statistics().BytesHeld);
        Assert.False(_time.TimerRuns);
    }

    [Fact]
    public void Threads_never_share_memory()
    {
        AtOnce.Run(6, thread =>
        {
            var random = new Random(thread);
            List<(Tensor Tensor, float Value)> used = [];
            for (int i = 0; i < 600; i++)
            {
                float value = (thread * 1000) + i;
                var made = Take(random.Next(1, 4) * 8);
                made.fill_(value);
                used.Add((made, value));
                if (i % 50 == 49) _pool.GiveUpFree();
                while (used.Count > random.Next(4))
                {
                    var (tensor, expected) = used[0];
                    used.RemoveAt(0);
                    Assert.Equal((expected, expected), (tensor.min().item<float>(), tensor.max().item<float>()));
                    tensor.Dispose();
                }
            }
            used.ForEach(entry => entry.Tensor.Dispose());
        });
        Assert.Equal(0, _pool.Statistics().BytesInUse);
        Assert.InRange(_pool.Statistics().Hits, 1, 3600);
    }

    private Tensor Take(long elements)
    {
        using var like = zeros(elements);
        return Tensor.UnsafeCreateTensor(_pool.Rent(like.Handle, elements * sizeof(float)));
    }
}

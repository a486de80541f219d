using static TorchSharp.torch;

namespace TorchStab.Tests.Distributed;

/// <summary>An epoch on several ranks holds every item once.</summary>
public class DistributedSamplerTests
{
    [Fact]
    public void Parts_neither_overlap_nor_lose_anything_for_any_number_of_ranks()
    {
        foreach (int size in new[] { 0, 1, 2, 7, 30, 31 })
            for (int ranks = 1; ranks <= 9; ranks++)
            {
                var parts = Enumerable.Range(0, ranks).Select(rank => stab.utils.data.DistributedSampler(size, ranks, rank, seed: 3)).ToList();
                parts.ForEach(p => p.set_epoch(5));
                Assert.Equal(Enumerable.Range(0, size).Select(i => (long)i), parts.SelectMany(p => p).Order());
                Assert.All(parts, p => Assert.Equal(p.ToArray().Length, p.Count));
                foreach (int batch in new[] { 1, 2, 5 })
                {
                    var batches = parts.ConvertAll(p => p.batches(batch).ToList());
                    Assert.Single(batches.Select(b => b.Count).Distinct());
                    Assert.All(parts.Zip(batches), p => Assert.Equal(p.First, p.Second.SelectMany(b => b)));
                }
            }
    }

    [Fact]
    public void Batches_of_all_ranks_together_are_the_batches_of_one_process()
    {
        var whole = stab.utils.data.DistributedSampler(29, 1, 0, seed: 4).batches(12).ToList();
        var parts = Enumerable.Range(0, 4).Select(rank => stab.utils.data.DistributedSampler(29, 4, rank, seed: 4).batches(3).ToList()).ToList();
        for (int k = 0; k < whole.Count; k++) Assert.Equal(whole[k].Order(), parts.SelectMany(p => p[k]).Order());
    }

    [Fact]
    public void The_order_is_that_of_PyTorchs_seed_and_epoch()
    {
        var sampler = stab.utils.data.DistributedSampler(10, 1, 0, seed: 3);
        sampler.set_epoch(2);
        using var generator = new Generator(5, CPU);
        Assert.Equal(randperm(10, generator: generator).data<long>().ToArray(), sampler);
        Assert.Equal([1, 3, 5], stab.utils.data.DistributedSampler(7, 2, 1, shuffle: false));
        Assert.Equal([0, 2, 4], stab.utils.data.DistributedSampler(7, 2, 0, shuffle: false, drop_last: true));
    }

    [Fact]
    public void Wrong_arguments_are_refused()
    {
        Assert.Contains("Invalid rank 2, rank should be in the interval [0, 1]",
            Assert.Throws<ArgumentException>(() => stab.utils.data.DistributedSampler(7, 2, 2)).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => stab.utils.data.DistributedSampler(-1, 1, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => stab.utils.data.DistributedSampler(1, 0, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => stab.utils.data.DistributedSampler(1, 1, 0).batches(0));
        Assert.Contains("init_process_group", Assert.Throws<InvalidOperationException>(() => stab.utils.data.DistributedSampler(1)).Message);
    }
}

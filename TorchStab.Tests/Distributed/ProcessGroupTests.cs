using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Distributed;

/// <summary>stab.distributed over threads of this process: results, and what it refuses.</summary>
public class ProcessGroupTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void Ranks_combine_their_tensors(int size)
    {
        InProcessCollective.Run(size, collective =>
        {
            Assert.Equal((collective.Rank, size), (stab.distributed.get_rank(), stab.distributed.get_world_size()));
            foreach (var dtype in new[] { ScalarType.Float32, ScalarType.Float64, ScalarType.Int64, ScalarType.BFloat16 })
            {
                var t = full(4, collective.Rank + 1, dtype);
                stab.distributed.all_reduce(t);
                Assert.True(t.eq(size * (size + 1) / 2).all().item<bool>());
            }
            var mean = full(3, collective.Rank, ScalarType.Float64);
            stab.distributed.all_reduce(mean, ReduceOp.Avg);
            Assert.Equal((size - 1) / 2.0, mean[0].item<double>());
            var source = full(2, collective.Rank, ScalarType.Bool);
            stab.distributed.broadcast(source, size - 1);
            Assert.Equal(size > 1, source.all().item<bool>());
            var all = stab.distributed.all_gather(full(2, 2, collective.Rank));
            for (int rank = 0; rank < size; rank++) Assert.True(all[rank].eq(rank).all().item<bool>());
            stab.distributed.barrier();
            stab.distributed.destroy_process_group();
            Assert.False(stab.distributed.is_initialized());
        });
    }

    [Fact]
    public void Half_types_are_summed_in_float32()
    {
        InProcessCollective.Run(3, collective =>
        {
            // In bfloat16 256 + 1 is 256, and so is 256 + 1 + 1.
            var t = full(1, collective.Rank == 0 ? 256 : 1, ScalarType.BFloat16);
            stab.distributed.all_reduce(t);
            Assert.Equal(258, t.to(ScalarType.Float32).item<float>());
        });
    }

    [Fact]
    public void Ranks_that_do_different_things_all_learn_what()
    {
        InProcessCollective.Run(3, collective =>
        {
            var e = Assert.Throws<InvalidOperationException>(() =>
            {
                if (collective.Rank == 1) stab.distributed.barrier();
                else stab.distributed.all_reduce(zeros(collective.Rank + 2));
            });
            Assert.Contains("rank 0 is at all_reduce of 2 elements of Float32 by Sum, rank 1 is at barrier, rank 2 is at all_reduce of 4", e.Message);
        });
    }

    [Fact]
    public void An_exception_on_one_rank_ends_the_waiting_of_all()
    {
        var e = Assert.Throws<InvalidDataException>(() => InProcessCollective.Run(3, collective =>
        {
            if (collective.Rank == 2) throw new InvalidDataException("at fault");
            stab.distributed.barrier();
        }));
        Assert.Equal("at fault", e.Message);
    }

    [Fact]
    public void A_rank_that_does_not_come_is_a_time_out()
    {
        Assert.Throws<TimeoutException>(() => InProcessCollective.Run(2, collective =>
        {
            if (collective.Rank == 0) stab.distributed.barrier();
        }, TimeSpan.FromMilliseconds(200)));
    }

    [Fact]
    public void Without_a_group_and_with_two_PyTorchs_words_are_said()
    {
        Assert.False(stab.distributed.is_initialized());
        var e = Assert.Throws<InvalidOperationException>(() => stab.distributed.get_rank());
        Assert.Contains("Default process group has not been initialized, please make sure to call init_process_group.", e.Message);
        InProcessCollective.Run(1, collective =>
        {
            e = Assert.Throws<InvalidOperationException>(() => stab.distributed.init_process_group());
            Assert.Contains("trying to initialize the default process group twice!", e.Message);
        });
    }

    [Fact]
    public void What_cannot_be_sent_is_refused_before_anything_is_sent()
    {
        InProcessCollective.Run(2, collective =>
        {
            Assert.Equal("tensor", Assert.Throws<ArgumentException>(() => stab.distributed.all_reduce(zeros(2, ScalarType.Bool))).ParamName);
            Assert.Equal("op", Assert.Throws<ArgumentException>(() => stab.distributed.all_reduce(zeros(2, ScalarType.Int64), ReduceOp.Avg)).ParamName);
            Assert.Equal("src", Assert.Throws<ArgumentException>(() => stab.distributed.broadcast(zeros(2), 2)).ParamName);
            Assert.Equal("tensor_list", Assert.Throws<ArgumentException>(() => stab.distributed.all_gather([zeros(2)], zeros(2))).ParamName);
            Assert.Equal("tensor_list", Assert.Throws<ArgumentException>(() => stab.distributed.all_gather([zeros(2), zeros(3)], zeros(2))).ParamName);
            var inGraph = zeros(2, requires_grad: true) * 2;
            Assert.Equal("tensor", Assert.Throws<ArgumentException>(() => stab.distributed.all_reduce(inGraph)).ParamName);
            stab.distributed.barrier();
        });
        Assert.Equal("timeout", Assert.Throws<ArgumentException>(() => stab.distributed.init_process_group(TimeSpan.Zero)).ParamName);
    }

    [Fact]
    public void Nothing_is_left_alive()
    {
        LiveTensors.AssertNoneLeft(() => InProcessCollective.Run(2, collective =>
        {
            using var t = zeros(2, 3).t();
            stab.distributed.all_reduce(t);
            stab.distributed.broadcast(t, 0);
            foreach (var each in stab.distributed.all_gather(t)) each.Dispose();
        }));
    }
}

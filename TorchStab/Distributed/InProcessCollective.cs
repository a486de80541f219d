using System.Runtime.ExceptionServices;
using TorchStab.Distributed;
using static TorchSharp.torch;

namespace TorchStab;

/// <summary>Ranks as threads of one process: to test a distributed training loop without MPI. Sums are taken in the order of the ranks.</summary>
public sealed class InProcessCollective : ICollective
{
    private readonly Room _room;

    private InProcessCollective(Room room, int rank) => (_room, Rank) = (room, rank);

    /// <inheritdoc/>
    public int Rank { get; }

    /// <inheritdoc/>
    public int WorldSize => _room.Size;

    /// <summary>
    /// Runs <paramref name="body"/> in one thread for each rank; in each of them <c>stab.distributed</c> is that rank's. An exception in one
    /// ends the waiting of all others.
    /// </summary>
    /// <param name="world_size">How many ranks, at least 1.</param>
    /// <param name="body">What a rank does. Random draws of concurrent threads come from one generator: draw before, or give each its own.</param>
    /// <param name="timeout">How long a rank may wait for the others; null (the default): 5 minutes.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="world_size"/> is below 1.</exception>
    /// <remarks>Throws the first exception of any rank.</remarks>
    public static void Run(int world_size, Action<ICollective> body, TimeSpan? timeout = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(world_size, 1);
        ArgumentNullException.ThrowIfNull(body);
        var room = new Room(world_size, timeout ?? TimeSpan.FromMinutes(5));
        var threads = Enumerable.Range(0, world_size).Select(rank => new Thread(() => RunRank(new InProcessCollective(room, rank), body))).ToList();
        threads.ForEach(t => t.Start());
        threads.ForEach(t => t.Join());
        if (room.Failure is { } failure) ExceptionDispatchInfo.Throw(failure);
    }

    /// <inheritdoc/>
    public void AllReduce(Tensor tensor, ReduceOp op) => Meet(tensor, all =>
    {
        using var sum = all[0].clone();
        foreach (var other in all.Skip(1)) Add(sum, other, op);
        foreach (var each in all) each.copy_(sum);
    });

    /// <inheritdoc/>
    public void Broadcast(Tensor tensor, int src) => Meet(tensor, all =>
    {
        foreach (var other in all.Where((_, rank) => rank != src)) other.copy_(all[src]);
    });

    /// <inheritdoc/>
    public void AllGather(Tensor output, Tensor input)
    {
        using var own = input.clone();
        Meet(own, all =>
        {
            // Every rank takes its copy after the meeting: here only the inputs are at hand.
            using var joined = cat([.. all.Select(t => t.reshape(-1))]);
            foreach (var each in all) each.set_(joined);
        });
        using var shaped = own.view_as(output);
        output.copy_(shaped);
    }

    /// <inheritdoc/>
    public void Barrier() => _room.Meet(Rank, null, _ => { });

    /// <inheritdoc/>
    public void Abort(string reason) => _room.Fail(new InvalidOperationException($"rank {Rank} of {WorldSize}: {reason}"));

    /// <summary>Nothing to release.</summary>
    public void Dispose()
    {
        // The threads hold all there is.
    }

    private static void Add(Tensor sum, Tensor other, ReduceOp op) => _ = op switch
    {
        ReduceOp.Product => sum.mul_(other),
        ReduceOp.Min => sum.copy_(minimum(sum, other)),
        ReduceOp.Max => sum.copy_(maximum(sum, other)),
        _ => sum.add_(other),
    };

    private static void RunRank(InProcessCollective collective, Action<ICollective> body)
    {
        try
        {
            using var scope = NewDisposeScope();
            using var group = new ProcessGroup(collective);
            ProcessGroups.UseOnThisThread(group);
            body(collective);
        }
        catch (Exception e)
        {
            collective._room.Fail(e);
        }
    }

    private void Meet(Tensor mine, Action<Tensor[]> together) => _room.Meet(Rank, mine, all =>
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        together(all!);
    });

    /// <summary>Where the ranks meet: the last one to come does the work for all.</summary>
    private sealed class Room(int size, TimeSpan timeout)
    {
        private readonly object _gate = new();
        private readonly Tensor?[] _brought = new Tensor?[size];
        private int _here;
        private long _meetings;

        public int Size => size;

        public Exception? Failure { get; private set; }

        public void Fail(Exception reason)
        {
            lock (_gate)
            {
                Failure ??= reason;
                Monitor.PulseAll(_gate);
            }
        }

        public void Meet(int rank, Tensor? mine, Action<Tensor?[]> together)
        {
            lock (_gate)
            {
                long meeting = _meetings;
                _brought[rank] = mine;
                if (++_here == size && Failure is null) Close(together);
                while (_meetings == meeting && Failure is null)
                    if (!Monitor.Wait(_gate, timeout)) Failure ??= new TimeoutException($"rank {rank} of {size} waited {timeout.TotalSeconds:0} s for the other ranks");
                if (Failure is not null) throw new InvalidOperationException($"The ranks cannot go on: {Failure.Message}", Failure);
            }
        }

        private void Close(Action<Tensor?[]> together)
        {
            try
            {
                together(_brought);
            }
            catch (Exception e)
            {
                Failure = e;
            }
            _here = 0;
            _meetings++;
            Monitor.PulseAll(_gate);
        }
    }
}

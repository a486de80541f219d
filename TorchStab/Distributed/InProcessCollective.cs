using System.Runtime.ExceptionServices;
using TorchStab.Distributed;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab;

/// <summary>Runs the ranks as threads of one process, to test a distributed training loop without MPI. Sums are taken in the order of the ranks.</summary>
public sealed class InProcessCollective : ICollective
{
    private readonly Meeting _meeting;

    private InProcessCollective(Meeting meeting, int rank) => (_meeting, Rank) = (meeting, rank);

    /// <inheritdoc/>
    public int Rank { get; }

    /// <inheritdoc/>
    public int WorldSize => _meeting.Size;

    /// <summary>
    /// Runs <paramref name="body"/> in one thread for each rank; <c>stab.distributed</c> in a thread acts for that thread's rank. After an exception in one
    /// thread, the others stop waiting and raise it too.
    /// </summary>
    /// <param name="world_size">The number of ranks, at least 1.</param>
    /// <param name="body">
    /// The work of a rank. All threads draw from one global random generator: draw before the call, or use a generator for each rank.
    /// </param>
    /// <param name="timeout">How long a rank may wait for the others; null (the default): 5 minutes.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="world_size"/> is below 1, or <paramref name="timeout"/> is not above 0.</exception>
    /// <remarks>Throws the first exception of any rank.</remarks>
    public static void Run(int world_size, Action<ICollective> body, TimeSpan? timeout = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(world_size, 1);
        ArgumentNullException.ThrowIfNull(body);
        if (timeout <= TimeSpan.Zero) throw new ArgumentOutOfRangeException(nameof(timeout), timeout, "expected a time above 0, or null for 5 minutes");
        var meeting = new Meeting(world_size, timeout ?? TimeSpan.FromMinutes(5));
        var threads = Enumerable.Range(0, world_size).Select(rank => new Thread(() => RunRank(new InProcessCollective(meeting, rank), body))).ToList();
        threads.ForEach(t => t.Start());
        threads.ForEach(t => t.Join());
        if (meeting.Failure is { } failure) ExceptionDispatchInfo.Throw(failure);
    }

    /// <inheritdoc/>
    public void AllReduce(Tensor tensor, ReduceOp op) => Meet(tensor, all =>
    {
        using var result = all[0].clone();
        foreach (var other in all.Skip(1)) Combine(result, other, op);
        foreach (var each in all) each.copy_(result);
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
            // Each rank copies the result to its output afterwards: here only the inputs are known.
            using var joined = cat([.. all.Select(t => t.reshape(-1))]);
            foreach (var each in all) each.set_(joined);
        });
        using var shaped = own.view_as(output);
        output.copy_(shaped);
    }

    /// <inheritdoc/>
    public void Barrier() => _meeting.Meet(Rank, null, _ => { });

    /// <inheritdoc/>
    public void Abort(string reason) => _meeting.Fail(new InvalidOperationException($"rank {Rank} of {WorldSize}: {reason}"));

    /// <summary>Nothing to release.</summary>
    public void Dispose()
    {
        // The ranks' threads own all tensors.
    }

    private static void Combine(Tensor result, Tensor other, ReduceOp op) => _ = op switch
    {
        ReduceOp.Product => result.mul_(other),
        ReduceOp.Min => result.copy_(minimum(result, other)),
        ReduceOp.Max => result.copy_(maximum(result, other)),
        _ => result.add_(other, One),
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
            collective._meeting.Fail(e);
        }
    }

    private void Meet(Tensor mine, Action<Tensor[]> together) => _meeting.Meet(Rank, mine, all =>
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        together(all!);
    });

    /// <summary>Lets the ranks wait for each other: the last one to arrive does the work for all.</summary>
    private sealed class Meeting(int size, TimeSpan timeout)
    {
        private readonly object _gate = new();
        private readonly Tensor?[] _tensors = new Tensor?[size];
        private int _arrived;
        private long _completed;

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
                long completed = _completed;
                _tensors[rank] = mine;
                if (++_arrived == size && Failure is null) Complete(together);
                while (_completed == completed && Failure is null)
                    if (!Monitor.Wait(_gate, timeout))
                        Failure ??= new TimeoutException($"rank {rank} of {size} waited {timeout.TotalSeconds:0} s for the other ranks");
                if (Failure is not null) throw new InvalidOperationException($"The ranks cannot go on: {Failure.Message}", Failure);
            }
        }

        private void Complete(Action<Tensor?[]> together)
        {
            try
            {
                together(_tensors);
            }
            catch (Exception e)
            {
                Failure = e;
            }
            _arrived = 0;
            _completed++;
            Monitor.PulseAll(_gate);
        }
    }
}

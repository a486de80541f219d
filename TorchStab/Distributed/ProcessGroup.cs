using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Distributed;

/// <summary>
/// A rank's view of all ranks. Before each exchange all ranks tell what they are about to do, in one small message of fixed size: ranks
/// that have come apart find out together, instead of waiting for each other or mixing up their data.
/// </summary>
internal sealed class ProcessGroup(ICollective engine) : IDisposable
{
    private readonly Tensor _mine = zeros(Call.Length, ScalarType.Int64, CPU).DetachFromDisposeScope();
    private readonly Tensor _all = zeros(engine.WorldSize * Call.Length, ScalarType.Int64, CPU).DetachFromDisposeScope();

    private SyncBatchNormNode? _normalization;

    public ICollective Engine => engine;

    /// <summary>Sums through memory that the ranks share, where they do.</summary>
    public SharedSum? SharedSum => (engine as ISharesMemory)?.SharedSum;

    /// <summary>How SyncBatchNorm over this group is differentiated.</summary>
    public SyncBatchNormNode Normalization => _normalization ??= new(this);

    public int Rank => engine.Rank;

    public int WorldSize => engine.WorldSize;

    /// <summary>Whether there is anybody to talk to.</summary>
    public bool IsAlone => engine.WorldSize == 1;

    /// <summary>Asserts that all ranks make the same call; returns each rank's <see cref="Call.Free"/>.</summary>
    /// <exception cref="InvalidOperationException">They do not; raised on all ranks.</exception>
    public long[] Agree(Call call)
    {
        if (IsAlone) return [call.Free];
        _mine.data<long>().CopyFrom(call.ToNumbers());
        engine.AllGather(_all, _mine);
        long[] numbers = _all.data<long>().ToArray();
        var calls = Enumerable.Range(0, WorldSize).Select(rank => Call.Of(numbers.AsSpan(rank * Call.Length, Call.Length))).ToList();
        return calls.TrueForAll(calls[0].Matches) ? [.. calls.Select(c => c.Free)] : throw new InvalidOperationException(Call.Difference(calls));
    }

    /// <summary>torch.distributed.all_reduce.</summary>
    public void AllReduce(Tensor tensor, ReduceOp op)
    {
        Agree(new(CallKind.AllReduce, tensor.numel(), (long)tensor.dtype, (long)op));
        if (IsAlone || tensor.numel() == 0) return;
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var sent = Sendable(tensor);
        Sum(sent, op == ReduceOp.Avg ? ReduceOp.Sum : op);
        if (op == ReduceOp.Avg) sent.div_(WorldSize);
        if (!ReferenceEquals(sent, tensor)) tensor.copy_(sent);
    }

    /// <summary>The exchange alone, of a tensor that can be sent as it is.</summary>
    public void Sum(Tensor tensor, ReduceOp op = ReduceOp.Sum) => engine.AllReduce(tensor, op);

    /// <summary>The sum, from inside a backward pass: native frames are above, so that no exception reaches the caller with its text.</summary>
    public void Exchange(Call call, Tensor tensor)
    {
        try
        {
            Agree(call);
            Sum(tensor);
        }
        catch (InvalidOperationException e)
        {
            Engine.Abort(e.Message);
            throw;
        }
    }

    /// <summary>torch.distributed.broadcast.</summary>
    public void Broadcast(Tensor tensor, int src)
    {
        Agree(new(CallKind.Broadcast, tensor.numel(), (long)tensor.dtype, src));
        Spread(tensor, src);
    }

    /// <summary>The exchange alone.</summary>
    public void Spread(Tensor tensor, int src)
    {
        if (IsAlone || tensor.numel() == 0) return;
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var sent = Plain(tensor);
        engine.Broadcast(sent, src);
        if (!ReferenceEquals(sent, tensor)) tensor.copy_(sent);
    }

    /// <summary>All ranks' tensors, by rank; the caller's scope owns them.</summary>
    public Tensor[] AllGather(Tensor tensor)
    {
        Agree(new(CallKind.AllGather, tensor.numel(), (long)tensor.dtype));
        using var scope = NewDisposeScope();
        using var all = Gather(tensor);
        return [.. Enumerable.Range(0, WorldSize).Select(rank => all[rank].clone().MoveToOuterDisposeScope())];
    }

    /// <summary>The exchange alone: a new tensor with one more dimension in front, the ranks.</summary>
    public Tensor Gather(Tensor tensor)
    {
        using var _ = no_grad();
        var all = empty([WorldSize, .. tensor.shape], dtype: tensor.dtype, device: tensor.device);
        using var own = tensor.detach();
        using var sent = own.resolve_conj().resolve_neg().contiguous();
        if (tensor.numel() > 0) engine.AllGather(all, sent);
        return all;
    }

    public void Barrier()
    {
        Agree(new(CallKind.Barrier));
        engine.Barrier();
    }

    /// <summary>Takes leave of all ranks.</summary>
    public void Destroy()
    {
        Agree(new(CallKind.Destroy));
        Dispose();
    }

    public void Dispose()
    {
        _mine.Dispose();
        _all.Dispose();
        engine.Dispose();
    }

    // Half types lose too much in a sum of many ranks; what lies with gaps or permuted is sent in order.
    private static Tensor Sendable(Tensor tensor) =>
        tensor.dtype is ScalarType.BFloat16 or ScalarType.Float16 ? tensor.to(ScalarType.Float32).resolve_neg().contiguous() : Plain(tensor);

    // What has its sign or conjugation in a flag, and not in memory, is sent as it is meant.
    private static Tensor Plain(Tensor tensor) =>
        tensor.is_contiguous() && !tensor.is_neg() && !tensor.is_conj() ? tensor : tensor.resolve_conj().resolve_neg().contiguous();
}

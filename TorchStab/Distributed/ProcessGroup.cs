using TorchStab.Dispatch;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Distributed;

/// <summary>An engine whose ranks may share memory.</summary>
internal interface ISharesMemory
{
    /// <summary>Sums through the shared memory; null if the ranks do not share any. The same on all ranks.</summary>
    SharedSum? SharedSum { get; }
}

/// <summary>
/// The ranks, as one of them sees them. Before each exchange the ranks compare their calls, in one small message of fixed size: ranks that make
/// different calls all raise an error, instead of waiting for each other or mixing up their data.
/// </summary>
internal sealed class ProcessGroup(ICollective engine) : IDisposable
{
    private readonly Tensor _mine = zeros(Call.Length, ScalarType.Int64, CPU).DetachFromDisposeScope();
    private readonly Tensor _all = zeros(engine.WorldSize * Call.Length, ScalarType.Int64, CPU).DetachFromDisposeScope();

    private SyncBatchNormFunctional? _normalization;

    public ICollective Engine => engine;

    /// <summary>Sums through memory that the ranks share; null if they do not share any.</summary>
    public SharedSum? SharedSum => (engine as ISharesMemory)?.SharedSum;

    /// <summary>SyncBatchNorm over this group.</summary>
    public SyncBatchNormFunctional Normalization => _normalization ??= new(this);

    public int Rank => engine.Rank;

    public int WorldSize => engine.WorldSize;

    /// <summary>Whether this is the only rank, so that nothing is exchanged.</summary>
    public bool IsAlone => engine.WorldSize == 1;

    /// <summary>Asserts that all ranks make the same call; returns each rank's <see cref="Call.Free"/>.</summary>
    /// <exception cref="InvalidOperationException">The calls differ. All ranks raise it.</exception>
    public long[] Agree(Call call)
    {
        if (IsAlone) return [call.Free];
        _mine.data<long>().CopyFrom(call.ToNumbers());
        engine.AllGather(_all, _mine);
        long[] numbers = _all.data<long>().ToArray();
        var calls = Enumerable.Range(0, WorldSize).Select(rank => Call.Of(numbers.AsSpan(rank * Call.Length, Call.Length))).ToList();
        return calls.TrueForAll(calls[0].Matches) ? [.. calls.Select(c => c.Free)] : throw new InvalidOperationException(Call.Difference(calls));
    }

    /// <summary>Combines the tensors of all ranks in place, as torch.distributed.all_reduce.</summary>
    public void AllReduce(Tensor tensor, ReduceOp op)
    {
        Agree(new(CallKind.AllReduce, tensor.numel(), (long)tensor.dtype, (long)op));
        if (IsAlone || tensor.numel() == 0) return;
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var sent = Sendable(tensor);
        Sum(sent, op == ReduceOp.Avg ? ReduceOp.Sum : op);
        if (op == ReduceOp.Avg) sent.div_(Held(WorldSize));
        if (!ReferenceEquals(sent, tensor)) tensor.copy_(sent);
    }

    /// <summary>Combines a dense contiguous tensor, without comparing the ranks' calls first.</summary>
    public void Sum(Tensor tensor, ReduceOp op = ReduceOp.Sum) => engine.AllReduce(tensor, op);

    /// <summary>
    /// Sums inside a backward pass. An exception would cross native frames and lose its text, so an error also aborts the ranks with that text.
    /// </summary>
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

    /// <summary>Copies a rank's tensor to all ranks, as torch.distributed.broadcast.</summary>
    public void Broadcast(Tensor tensor, int src)
    {
        Agree(new(CallKind.Broadcast, tensor.numel(), (long)tensor.dtype, src));
        Spread(tensor, src);
    }

    /// <summary>Copies a rank's tensor to all ranks, without comparing the ranks' calls first.</summary>
    public void Spread(Tensor tensor, int src)
    {
        if (IsAlone || tensor.numel() == 0) return;
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var sent = Plain(tensor);
        engine.Broadcast(sent, src);
        if (!ReferenceEquals(sent, tensor)) tensor.copy_(sent);
    }

    /// <summary>The tensors of all ranks, in the order of the ranks; the caller's scope owns them.</summary>
    public Tensor[] AllGather(Tensor tensor)
    {
        Agree(new(CallKind.AllGather, tensor.numel(), (long)tensor.dtype));
        using var scope = NewDisposeScope();
        using var all = Gather(tensor);
        return [.. Enumerable.Range(0, WorldSize).Select(rank => all[rank].clone().MoveToOuterDisposeScope())];
    }

    /// <summary>The tensors of all ranks, stacked along a new first dimension, without comparing the ranks' calls first.</summary>
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

    /// <summary>Leaves the group together with all ranks.</summary>
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

    // A tensor that the engine can combine: half types as float32, because a sum over many ranks would lose too much precision; else see Plain.
    private static Tensor Sendable(Tensor tensor) =>
        tensor.dtype is ScalarType.BFloat16 or ScalarType.Float16 ? tensor.to(ScalarType.Float32).resolve_neg().contiguous() : Plain(tensor);

    // A contiguous tensor whose memory holds its values: a negated or conjugated view only has a flag set.
    private static Tensor Plain(Tensor tensor) =>
        tensor.is_contiguous() && !tensor.is_neg() && !tensor.is_conj() ? tensor : tensor.resolve_conj().resolve_neg().contiguous();
}

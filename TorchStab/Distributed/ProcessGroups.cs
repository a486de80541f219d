using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace TorchStab.Distributed;

/// <summary>The process's default group, and the checks of <c>stab.distributed</c>.</summary>
internal static class ProcessGroups
{
    public static readonly TimeSpan DefaultTimeout = TimeSpan.FromMinutes(30);
    private static readonly ScalarType[] Reducible =
        [ScalarType.Float32, ScalarType.Float64, ScalarType.Int64, ScalarType.Int32, ScalarType.BFloat16, ScalarType.Float16];

    private static readonly ConditionalWeakTable<ICollective, ProcessGroup> Others = [];
    private static ProcessGroup? s_group;

    [ThreadStatic]
    private static ProcessGroup? t_group;

    /// <summary>The group of this thread, else that of the process; null before init_process_group.</summary>
    public static ProcessGroup? Current => t_group ?? s_group;

    /// <summary>The group over an engine: the current group if it has this engine, else one that is made once.</summary>
    public static ProcessGroup Of(ICollective engine) =>
        Current is { } current && current.Engine == engine ? current : Others.GetValue(engine, static e => new ProcessGroup(e));

    public static ProcessGroup Required => Current
        ?? throw new InvalidOperationException("Default process group has not been initialized, please make sure to call init_process_group.");

    public static void Initialize(TimeSpan timeout)
    {
        if (timeout <= TimeSpan.Zero || timeout.TotalMilliseconds > uint.MaxValue - 1)
            throw new ArgumentException($"expected a time above 0 and below 49 days, got {timeout}", nameof(timeout));
        RequireNone();
        s_group = new ProcessGroup(MpiLaunch.NewEngine(timeout));
    }

    public static void Initialize(ICollective collective)
    {
        ArgumentNullException.ThrowIfNull(collective);
        RequireNone();
        s_group = new ProcessGroup(collective);
    }

    /// <summary>Sets the group of a thread that is a rank.</summary>
    public static void UseOnThisThread(ProcessGroup group) => t_group = group;

    public static void Destroy()
    {
        Required.Destroy();
        if (t_group is null) s_group = null;
        else t_group = null;
    }

    public static void AllReduce(Tensor tensor, ReduceOp op)
    {
        var group = Required;
        Writable(tensor);
        if (!Reducible.Contains(tensor.dtype))
            throw new ArgumentException($"expected a tensor of {string.Join(", ", Reducible)}, got {tensor.dtype}; convert it with .to(dtype)", nameof(tensor));
        if (!Enum.IsDefined(op)) throw new ArgumentException($"expected one of {string.Join(", ", Enum.GetNames<ReduceOp>())}, got {(int)op}", nameof(op));
        if (op == ReduceOp.Avg && !tensor.is_floating_point())
            throw new ArgumentException($"a mean needs a floating dtype, got {tensor.dtype}; use ReduceOp.Sum", nameof(op));
        group.AllReduce(tensor, op);
    }

    public static void Broadcast(Tensor tensor, int src)
    {
        var group = Required;
        Writable(tensor);
        if (src < 0 || src >= group.WorldSize) throw new ArgumentException($"expected a rank from 0 to {group.WorldSize - 1}, got {src}", nameof(src));
        group.Broadcast(tensor, src);
    }

    public static Tensor[] AllGather(Tensor tensor)
    {
        var group = Required;
        Dense(tensor);
        return group.AllGather(tensor);
    }

    public static void AllGather(IList<Tensor> tensor_list, Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor_list);
        var group = Required;
        Dense(tensor);
        if (tensor_list.Count != group.WorldSize)
            throw new ArgumentException($"expected a list of {group.WorldSize} tensors, one for each rank, got {tensor_list.Count}", nameof(tensor_list));
        foreach (var target in tensor_list) Writable(target, nameof(tensor_list));
        if (tensor_list.FirstOrDefault(t => t.dtype != tensor.dtype || !t.shape.SequenceEqual(tensor.shape)) is { } odd)
            throw new ArgumentException(
                $"expected tensors of {tensor.dtype} {Repr.List(tensor.shape)} as `tensor` is, got {odd.dtype} {Repr.List(odd.shape)}", nameof(tensor_list));
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        foreach (var (target, source) in tensor_list.Zip(group.AllGather(tensor))) target.copy_(source);
    }

    private static void RequireNone()
    {
        if (Current is not null) throw new InvalidOperationException("trying to initialize the default process group twice!");
    }

    private static void Dense(Tensor tensor, string name = nameof(tensor))
    {
        ArgumentNullException.ThrowIfNull(tensor, name);
        if (tensor.is_sparse) throw new ArgumentException("expected a dense tensor, got a sparse one; convert it with .to_dense()", name);
    }

    private static void Writable(Tensor tensor, string name = nameof(tensor))
    {
        Dense(tensor, name);
        if (tensor.requires_grad && !tensor.is_leaf)
            throw new ArgumentException("expected a tensor outside the autograd graph, because its values are replaced; use tensor.detach()", name);
        if (tensor.numel() > 0 && tensor.shape.Zip(tensor.stride()).Any(d => d is { First: > 1, Second: 0 }))
            throw new ArgumentException("expected a tensor whose elements do not share memory, because its values are replaced; an expanded one does: "
                + "use tensor.clone()", name);
    }
}

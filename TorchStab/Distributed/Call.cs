using System.Text;
using static TorchSharp.torch;

namespace TorchStab.Distributed;

/// <summary>The kinds of calls that all ranks make together.</summary>
internal enum CallKind
{
    AllReduce,
    Broadcast,
    AllGather,
    Barrier,
    Destroy,
    Model,
    Forward,
    Step,
    Gradients,
    Culprit,
    Identity,
    Statistics,
    StatisticsGradient,
}

/// <summary>A call that all ranks make together. All numbers except <see cref="Free"/> must be equal on all ranks.</summary>
internal readonly record struct Call(CallKind Kind, long A = 0, long B = 0, long C = 0, long Free = 0)
{
    /// <summary>The number of integers that a call is sent as.</summary>
    public const int Length = 5;

    public long[] ToNumbers() => [(long)Kind, A, B, C, Free];

    public static Call Of(ReadOnlySpan<long> numbers) => new((CallKind)numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]);

    public bool Matches(Call other) => this with { Free = 0 } == other with { Free = 0 };

    /// <summary>The call as error messages name it.</summary>
    public override string ToString() => Kind switch
    {
        CallKind.AllReduce => $"all_reduce of {A} elements of {(ScalarType)B} by {(ReduceOp)C}",
        CallKind.Broadcast => $"broadcast of {A} elements of {(ScalarType)B} from rank {C}",
        CallKind.AllGather => $"all_gather of {A} elements of {(ScalarType)B}",
        CallKind.Barrier => "barrier",
        CallKind.Destroy => "destroy_process_group",
        CallKind.Model => $"the start of DistributedDataParallel with a model of {B} parameters and buffers, {C} elements "
            + $"(layers, names, shapes, dtypes and requires_grad hash to {A:x16})",
        CallKind.Forward => $"the forward pass before step {A} of DistributedDataParallel{(B == 0 ? " without broadcast_buffers" : "")}",
        CallKind.Step => $"step {A} of DistributedDataParallel with {B} parameters in messages of {C} bytes",
        CallKind.Gradients => $"step {A} of DistributedDataParallel, its gradients",
        CallKind.Culprit => $"the search for a gradient that is not finite after step {A}",
        CallKind.Identity => "require_identical of DistributedDataParallel",
        CallKind.Statistics => $"the forward pass of a SyncBatchNorm of {A} channels",
        _ => $"the backward pass of a SyncBatchNorm of {A} channels",
    };

    /// <summary>The error message for ranks that make different calls.</summary>
    public static string Difference(IReadOnlyList<Call> calls)
    {
        var text = new StringBuilder("The ranks do different things: ");
        for (int rank = 0; rank < calls.Count; rank++) text.Append($"{(rank > 0 ? ", " : "")}rank {rank} is at {calls[rank]}");
        return text.Append(Advice(calls)).ToString();
    }

    private static string Advice(IReadOnlyList<Call> calls) => calls.All(c => c.Kind == CallKind.Model)
        ? ". Every rank has to build the same model before it is wrapped, and to freeze, unfreeze or exchange the same layers between the same steps."
        : ". Every rank has to make the same calls in the same order: the same number of batches (DistributedSampler.batches gives that, with empty ones "
            + "where the data run out), forward and backward on each of them, the same layers in training mode.";
}

using static TorchSharp.torch;

namespace TorchStab;

/// <summary>
/// What data-parallel training needs of the engine that connects the ranks: five calls that all ranks make together, in the same order
/// and with tensors of the same size and dtype. MPI is one engine (<c>stab.distributed.init_process_group()</c>), threads of one process
/// another (<see cref="InProcessCollective"/>); give your own to <c>stab.distributed.init_process_group(collective)</c>.
/// </summary>
/// <remarks>
/// Callers check arguments, agree on what they do, and widen half types first: an engine gets dense contiguous tensors on the CPU or on the
/// devices it was made for, and one call at a time. A call that fails throws <see cref="InvalidOperationException"/>.
/// </remarks>
public interface ICollective : IDisposable
{
    /// <summary>This process's number, from 0.</summary>
    int Rank { get; }

    /// <summary>How many ranks there are.</summary>
    int WorldSize { get; }

    /// <summary>Combines all ranks' tensors, in place; every rank gets the same bits.</summary>
    /// <param name="tensor">float32, float64, int64 or int32.</param>
    /// <param name="op">Sum, Product, Min or Max.</param>
    void AllReduce(Tensor tensor, ReduceOp op);

    /// <summary>Copies one rank's tensor into all others', in place.</summary>
    /// <param name="tensor">Of any dtype.</param>
    /// <param name="src">The rank whose values all get.</param>
    void Broadcast(Tensor tensor, int src);

    /// <summary>Puts all ranks' tensors one after the other, by rank.</summary>
    /// <param name="output">WorldSize times as many elements as <paramref name="input"/>.</param>
    /// <param name="input">Of any dtype.</param>
    void AllGather(Tensor output, Tensor input);

    /// <summary>Waits until every rank is here.</summary>
    void Barrier();

    /// <summary>Ends the work of all ranks, because this one cannot go on; says why. May end the process.</summary>
    /// <param name="reason">What the user is to read.</param>
    void Abort(string reason);
}

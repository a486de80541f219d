using static TorchSharp.torch;

namespace TorchStab;

/// <summary>
/// The engine that connects the ranks of data-parallel training. All ranks make each of its calls together, in the same order and with tensors of the
/// same size and dtype. <c>stab.distributed.init_process_group()</c> uses MPI; <see cref="InProcessCollective"/> uses threads of one process; pass an
/// engine of your own to <c>stab.distributed.init_process_group(collective)</c>.
/// </summary>
/// <remarks>
/// TorchStab checks arguments, compares the ranks' calls, and converts half types first: an engine receives dense contiguous tensors, on the CPU or on
/// the devices that it supports, and one call at a time. A call that fails throws <see cref="InvalidOperationException"/>.
/// </remarks>
public interface ICollective : IDisposable
{
    /// <summary>The number of this rank, from 0.</summary>
    int Rank { get; }

    /// <summary>The number of ranks.</summary>
    int WorldSize { get; }

    /// <summary>Combines the tensors of all ranks element by element, in place; every rank gets the same bits.</summary>
    /// <param name="tensor">float32, float64, int64 or int32.</param>
    /// <param name="op">Sum, Product, Min or Max.</param>
    void AllReduce(Tensor tensor, ReduceOp op);

    /// <summary>Copies one rank's tensor into the tensors of all other ranks.</summary>
    /// <param name="tensor">Of any dtype.</param>
    /// <param name="src">The rank whose values are copied.</param>
    void Broadcast(Tensor tensor, int src);

    /// <summary>Concatenates the tensors of all ranks, in the order of the ranks.</summary>
    /// <param name="output">Receives them: WorldSize times as many elements as <paramref name="input"/>.</param>
    /// <param name="input">Of any dtype.</param>
    void AllGather(Tensor output, Tensor input);

    /// <summary>Waits until every rank has made this call.</summary>
    void Barrier();

    /// <summary>Stops all ranks because this one cannot continue, and reports the reason. May end the process.</summary>
    /// <param name="reason">The message for the user.</param>
    void Abort(string reason);
}

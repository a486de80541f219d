using static TorchSharp.torch;

namespace TorchStab.Distributed;

/// <summary>The engine of a single rank, for a program that was started without mpirun.</summary>
internal sealed class SingleProcess : ICollective
{
    public int Rank => 0;

    public int WorldSize => 1;

    public void AllReduce(Tensor tensor, ReduceOp op)
    {
        // One rank's tensor is the result.
    }

    public void Broadcast(Tensor tensor, int src)
    {
        // The only rank has the values.
    }

    public void AllGather(Tensor output, Tensor input)
    {
        using var shaped = input.view_as(output);
        output.copy_(shaped);
    }

    public void Barrier()
    {
        // There is no other rank to wait for.
    }

    public void Abort(string reason)
    {
        // There is no other rank to stop; the caller's exception reports the reason.
    }

    public void Dispose()
    {
        // There is nothing to release.
    }
}

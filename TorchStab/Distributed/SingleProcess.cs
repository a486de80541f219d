using static TorchSharp.torch;

namespace TorchStab.Distributed;

/// <summary>A world of one rank, for a program that was started without mpirun.</summary>
internal sealed class SingleProcess : ICollective
{
    public int Rank => 0;

    public int WorldSize => 1;

    public void AllReduce(Tensor tensor, ReduceOp op)
    {
        // The sum of one.
    }

    public void Broadcast(Tensor tensor, int src)
    {
        // Already there.
    }

    public void AllGather(Tensor output, Tensor input)
    {
        using var shaped = input.view_as(output);
        output.copy_(shaped);
    }

    public void Barrier()
    {
        // Nobody to wait for.
    }

    public void Abort(string reason)
    {
        // Whoever fails alone has its exception.
    }

    public void Dispose()
    {
        // Holds nothing.
    }
}

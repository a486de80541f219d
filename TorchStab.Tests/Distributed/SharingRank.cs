using System.Runtime.InteropServices;
using TorchStab.Dispatch;
using TorchStab.Distributed;
using static TorchSharp.torch;

namespace TorchStab.Tests.Distributed;

/// <summary>A rank that shares memory with the others, as those of an MPI job on one host do.</summary>
internal sealed class SharingRank(ICollective inner, RanksMemory memory) : ICollective, ISharesMemory
{
    public int Rank => inner.Rank;

    public int WorldSize => inner.WorldSize;

    public SharedSum? SharedSum { get; } = new(inner.Rank, memory.Parts, inner.Barrier);

    public void AllReduce(Tensor tensor, ReduceOp op) => inner.AllReduce(tensor, op);

    public void Broadcast(Tensor tensor, int src) => inner.Broadcast(tensor, src);

    public void AllGather(Tensor output, Tensor input) => inner.AllGather(output, input);

    public void Barrier() => inner.Barrier();

    public void Abort(string reason) => inner.Abort(reason);

    public void Dispose()
    {
        // The memory is the test's, the inner rank the runner's.
    }
}

/// <summary>A part for each rank, deliberately off any alignment; a write behind its end is found when it is freed.</summary>
internal sealed unsafe class RanksMemory : IDisposable
{
    private const int Shift = 4, Guard = 64;
    private const byte Pattern = 0xA5;
    private static readonly int Whole = Shift + (int)SharedSum.Bytes + Guard;
    private readonly nint[] _blocks;

    public RanksMemory(int ranks)
    {
        _blocks = [.. Enumerable.Range(0, ranks).Select(_ => (nint)NativeMemory.AlignedAlloc((nuint)Whole, 64))];
        foreach (nint block in _blocks) new Span<byte>((void*)block, Whole).Fill(Pattern);
    }

    public nint[] Parts => Array.ConvertAll(_blocks, block => block + Shift);

    public void Dispose()
    {
        bool whole = _blocks.All(block => !new Span<byte>((byte*)block + Whole - Guard, Guard).ContainsAnyExcept(Pattern)
            && !new Span<byte>((void*)block, Shift).ContainsAnyExcept(Pattern));
        foreach (nint block in _blocks) NativeMemory.AlignedFree((void*)block);
        Assert.True(whole, "written outside the ranks' memory");
    }
}

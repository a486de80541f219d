using TorchStab.Kernels;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Sums tensors in place over ranks that share memory, piece by piece. Each rank writes to shared memory the elements that other ranks add, computes the sums
/// of its own share of the elements, and copies the sums of the other shares from the ranks that computed them. There is no message to collect first, and
/// only one rank adds each element.
/// </summary>
/// <remarks>
/// All ranks process the same runs of elements in the same order. One rank computes each sum, in the order of ranks, so all ranks get the same bits, in every
/// program run.
/// </remarks>
internal sealed unsafe class SharedSum
{
    /// <summary>Bytes of shared memory per rank: two pieces, because other ranks may still read one piece while this rank writes to the other.</summary>
    public const long Bytes = (2 * PieceBytes) + CacheLine;

    /// <summary>Small enough that a written piece is still in the last-level cache when it is read.</summary>
    private const long PieceBytes = 1 << 20;

    /// <summary>Bytes that are checked for NaN and added together, small enough for the first-level cache.</summary>
    private const long BlockBytes = 16 * 1024;

    /// <summary>Runs and shares are aligned to cache lines, because two cores that write to one line wait for each other.</summary>
    private const long CacheLine = 64;

    private readonly NativeList<Run> _runs = new();
    private readonly nint[] _parts;
    private readonly int _rank;
    private readonly Action _meet;
    private SharedSumKernel.Family _kernels;
    private int _first;
    private long _from, _half;

    /// <summary>Stores this rank's addresses of all ranks' memory.</summary>
    /// <param name="rank">This rank.</param>
    /// <param name="parts">The address of each rank's part in this process; it has <see cref="Bytes"/> bytes.</param>
    /// <param name="meet">A barrier: returns when all ranks have called it.</param>
    public SharedSum(int rank, nint[] parts, Action meet) =>
        (_rank, _parts, _meet) = (rank, Array.ConvertAll(parts, part => (nint)RoundedUp(part)), meet);

    /// <summary>The contiguous elements of one tensor, and their byte positions in the sequence of all runs.</summary>
    private struct Run
    {
        public nint Handle;
        public byte* Data;
        public long Start, End, ElementSize;
        public bool Finite;

        public readonly byte* At(long place) => Data + (place - Start);

        /// <summary>The intersection with the positions [first, last): its start and its number of elements.</summary>
        public readonly (long Start, long Count) Common(long first, long last)
        {
            long start = Math.Max(first, Start);
            return (start, (Math.Min(last, End) - start) / ElementSize);
        }
    }

    /// <summary>
    /// Adds a tensor to those that are summed next, which are all float32 or all float64. It must be contiguous on the CPU, and the caller keeps it
    /// reachable.
    /// </summary>
    public void Append(in TensorView tensor)
    {
        long size = tensor.Dtype == ScalarType.Float64 ? sizeof(double) : sizeof(float);
        long start = _runs.Count == 0 ? 0 : RoundedUp(_runs.Items[_runs.Count - 1].End);
        _kernels = Instances<SharedSumKernel.Family>.Of(TensorMemory.ElementOf(tensor.Dtype), (int)KernelSelection.Width);
        _runs.Add(new()
        {
            Handle = tensor.Handle,
            Data = (byte*)tensor.Data,
            Start = start,
            End = start + (tensor.Count * size),
            ElementSize = size,
            Finite = true,
        });
    }

    /// <summary>Replaces the tensors' elements by the sums. All ranks must call it with the same number of elements in each tensor.</summary>
    public void Sum()
    {
        long end = _runs.Count == 0 ? 0 : _runs.Items[_runs.Count - 1].End;
        (_first, _from) = (0, 0);
        for (; _from < end; _from += PieceBytes, _half = PieceBytes - _half) SumPiece(Math.Min(end, _from + PieceBytes));
        for (int i = 0; i < _runs.Count; i++) TensorMemory.MarkWritten(_runs.Items[i].Handle);
    }

    /// <summary>Whether this rank's elements of the n-th tensor were all finite.</summary>
    public bool WasFinite(int n) => _runs.Items[n].Finite;

    /// <summary>Removes the tensors.</summary>
    public void Clear() => _runs.Clear();

    private void SumPiece(long end)
    {
        while (_runs.Items[_first].End <= _from) _first++;
        var (first, last) = Share(_rank, end);
        Send(_from, first);
        Send(last, end);
        _meet();
        Add(first, last);
        _meet();
        for (int rank = 0; rank < _parts.Length; rank++)
            if (rank != _rank) Take(rank, Share(rank, end));
    }

    private (long First, long Last) Share(int rank, long end)
    {
        long share = RoundedUp((end - _from + _parts.Length - 1) / _parts.Length);
        return (Math.Min(end, _from + (rank * share)), Math.Min(end, _from + ((rank + 1) * share)));
    }

    private void Send(long first, long last)
    {
        for (int i = _first; i < _runs.Count && _runs.Items[i].Start < last; i++)
        {
            var run = _runs.Items + i;
            var (start, count) = run->Common(first, last);
            if (count > 0) run->Finite &= _kernels.Send(run->At(start), Place(_rank, start), count);
        }
    }

    private void Add(long first, long last)
    {
        for (int i = _first; i < _runs.Count && _runs.Items[i].Start < last; i++)
        {
            var run = _runs.Items + i;
            for (long block = Math.Max(first, run->Start); block < Math.Min(last, run->End); block += BlockBytes)
                run->Finite &= AddBlock(run->At(block), block, run->Common(block, Math.Min(last, block + BlockBytes)).Count);
        }
    }

    private bool AddBlock(byte* mine, long start, long count)
    {
        void** terms = stackalloc void*[_parts.Length];
        for (int rank = 0; rank < _parts.Length; rank++) terms[rank] = rank == _rank ? mine : Place(rank, start);
        return _kernels.Add(terms, _parts.Length, _rank, Place(_rank, start), count);
    }

    private void Take(int rank, (long First, long Last) share)
    {
        for (int i = _first; i < _runs.Count && _runs.Items[i].Start < share.Last; i++)
        {
            var run = _runs.Items + i;
            var (start, count) = run->Common(share.First, share.Last);
            long bytes = count * run->ElementSize;
            if (count > 0) Buffer.MemoryCopy(Place(rank, start), run->At(start), bytes, bytes);
        }
    }

    private byte* Place(int rank, long at) => (byte*)_parts[rank] + _half + (at - _from);

    private static long RoundedUp(long bytes) => (bytes + CacheLine - 1) & -CacheLine;
}

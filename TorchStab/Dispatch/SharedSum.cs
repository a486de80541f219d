using TorchStab.Kernels;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Sums of tensors over ranks that share memory, in the tensors' place: piece by piece, every rank writes what others add up, adds its own share of the
/// elements over all ranks, and takes the other shares from those who added them. Nothing is gathered in a message first, and no element is added twice.
/// </summary>
/// <remarks>
/// The ranks go through the same runs of elements in the same order. Each sum is made by one rank, in the ranks' order: the same bits on all, in every run.
/// </remarks>
internal sealed unsafe class SharedSum
{
    /// <summary>Of memory that each rank gives: two pieces, since others may still look into the one while this rank writes to the other.</summary>
    public const long Bytes = (2 * PieceBytes) + CacheLine;

    /// <summary>What is written in one piece is still in the last cache when it is read.</summary>
    private const long PieceBytes = 1 << 20;

    /// <summary>What is looked at for NaN and added at once, out of the first cache.</summary>
    private const long BlockBytes = 16 * 1024;

    /// <summary>Runs and shares begin with one: two cores that write to the same would wait for each other.</summary>
    private const long CacheLine = 64;

    private readonly NativeList<Run> _runs = new();
    private readonly nint[] _parts;
    private readonly int _rank;
    private readonly Action _meet;
    private SharedSumKernel.Family _kernels;
    private int _first;
    private long _from, _half;

    /// <summary>A rank's view of all ranks' memory.</summary>
    /// <param name="rank">This rank.</param>
    /// <param name="parts">Where each rank's <see cref="Bytes"/> lie for this one.</param>
    /// <param name="meet">Returns once all ranks have called it.</param>
    public SharedSum(int rank, nint[] parts, Action meet) =>
        (_rank, _parts, _meet) = (rank, Array.ConvertAll(parts, part => (nint)RoundedUp(part)), meet);

    /// <summary>Elements that lie together, and their place among all.</summary>
    private struct Run
    {
        public nint Handle;
        public byte* Data;
        public long Start, End, ElementSize;
        public bool Finite;

        public readonly byte* At(long place) => Data + (place - Start);

        /// <summary>What it has in common with a stretch: from where on, and how many elements.</summary>
        public readonly (long Start, long Count) Common(long first, long last)
        {
            long start = Math.Max(first, Start);
            return (start, (Math.Min(last, End) - start) / ElementSize);
        }
    }

    /// <summary>Adds a tensor to those that are summed next, all float32 or all float64; it lies densely on the CPU and stays reachable.</summary>
    public void Append(in TensorView tensor)
    {
        long size = tensor.Dtype == ScalarType.Float64 ? sizeof(double) : sizeof(float), start = _runs.Count == 0 ? 0 : RoundedUp(_runs.Items[_runs.Count - 1].End);
        _kernels = Instances<SharedSumKernel.Family>.Of(TensorMemory.ElementOf(tensor.Dtype), (int)KernelSelection.Width);
        _runs.Add(new() { Handle = tensor.Handle, Data = (byte*)tensor.Data, Start = start, End = start + (tensor.Count * size), ElementSize = size, Finite = true });
    }

    /// <summary>Puts the sums in place; all ranks call it with as many elements in each tensor.</summary>
    public void Sum()
    {
        long end = _runs.Count == 0 ? 0 : _runs.Items[_runs.Count - 1].End;
        (_first, _from) = (0, 0);
        for (; _from < end; _from += PieceBytes, _half = PieceBytes - _half) SumPiece(Math.Min(end, _from + PieceBytes));
        for (int i = 0; i < _runs.Count; i++) TensorMemory.MarkWritten(_runs.Items[i].Handle);
    }

    /// <summary>Whether this rank's elements of the n-th tensor were all finite.</summary>
    public bool WasFinite(int n) => _runs.Items[n].Finite;

    /// <summary>Forgets the tensors.</summary>
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

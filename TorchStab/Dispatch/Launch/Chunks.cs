namespace TorchStab.Dispatch;

/// <summary>A contiguous part of one tensor's elements.</summary>
internal readonly record struct Chunk(int Tensor, int Count, long First);

/// <summary>
/// Divides many tensors into chunks of at most <see cref="Size"/> elements, and collects the chunks in groups of about that many elements. A group is one
/// item of work: several threads share a large tensor, and one thread takes many small tensors at once. The division depends only on the lengths, never on
/// the number of threads.
/// </summary>
internal sealed unsafe class Chunks
{
    /// <summary>Elements; 128 KiB of floats, so that all tensors of one chunk fit in a core's second-level cache.</summary>
    public const int Size = 32 * 1024;

    private readonly NativeList<Chunk> _chunks = new();
    private readonly NativeList<int> _starts = new();
    private int _room;

    public long Elements { get; private set; }

    public int Count => _chunks.Count;

    public int Groups => _starts.Count;

    public Chunk* Items => _chunks.Items;

    /// <summary>Returns the first chunk of each group, followed by the end of the last group; valid until the next change.</summary>
    public int* Bounds()
    {
        int groups = _starts.Count;
        _starts.Add(_chunks.Count);
        _starts.Resize(groups);
        return _starts.Items;
    }

    public void Clear()
    {
        _chunks.Clear();
        _starts.Clear();
        _room = 0;
        Elements = 0;
    }

    public void Add(int tensor, long length)
    {
        for (long first = 0; first < length; first += Size)
        {
            int count = (int)Math.Min(Size, length - first);
            if (_room < count)
            {
                _starts.Add(_chunks.Count);
                _room = Size;
            }
            _room -= count;
            _chunks.Add(new(tensor, count, first));
        }
        Elements += length;
    }
}

namespace TorchStab.Dispatch;

/// <summary>A run of one tensor's elements.</summary>
internal readonly record struct Chunk(int Tensor, int Count, long First);

/// <summary>
/// Many tensors cut into chunks of at most <see cref="Size"/> elements, and the chunks gathered into groups of about as many: a group is what
/// a thread takes, so that a large tensor is shared and small ones come by the dozen. The cut depends on the lengths alone, never on the
/// number of threads.
/// </summary>
internal sealed unsafe class Chunks
{
    /// <summary>Elements; 128 KiB of floats: the streams of one chunk stay in a core's second-level cache.</summary>
    public const int Size = 32 * 1024;

    private readonly NativeList<Chunk> _chunks = new();
    private readonly NativeList<int> _starts = new();
    private int _room;

    public long Elements { get; private set; }

    public int Count => _chunks.Count;

    public int Groups => _starts.Count;

    public Chunk* Items => _chunks.Items;

    /// <summary>Where each group starts and, after the last, where it ends; valid until the next change.</summary>
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

using System.Text;
using TorchSharp.Modules;
using TorchStab.Dispatch;

namespace TorchStab.Optimization;

/// <summary>
/// The reader through which optimizers of <c>torch.optim</c> read a file. They do not check its numbers, so this reader checks each tensor's header before
/// it passes on the first byte. They call <see cref="ReadByte"/> only for the numbers of a header, which shows where a header begins.
/// </summary>
internal sealed class TorchStateReader : BinaryReader
{
    private readonly BinaryReader _source;
    private readonly List<Parameter> _parameters;
    private readonly Queue<byte> _checked = new();

    public TorchStateReader(BinaryReader source, IEnumerable<Parameter> parameters) : base(source.BaseStream, Encoding.UTF8, leaveOpen: true) =>
        (_source, _parameters) = (source, [.. parameters]);

    /// <summary>Reads the optimizer's name, and checks the counts of groups and states that follow it.</summary>
    public override string ReadString()
    {
        string name = TensorFile.ReadName(_source);
        for (int i = 0; i < 2; i++) HandOn(TensorFile.ReadNumber(_source));
        return name;
    }

    /// <inheritdoc/>
    public override byte ReadByte()
    {
        if (_checked.Count == 0) ReadHeader();
        return _checked.Dequeue();
    }

    // A moment has its parameter's dtype and shape.
    private void ReadHeader()
    {
        var header = TensorFile.ReadHeader(_source, "a state");
        if (!_parameters.Exists(p => p.dtype == header.Dtype && p.shape.SequenceEqual(header.Shape)))
            throw TensorFile.Corrupted($"it holds a state of {header.Dtype} and shape [{string.Join(", ", header.Shape)}], which no parameter has");
        HandOn((long)header.Dtype);
        HandOn(header.Shape.Length);
        foreach (long size in header.Shape) HandOn(size);
    }

    private void HandOn(long number)
    {
        for (ulong left = (ulong)number; ; left >>= 7)
        {
            _checked.Enqueue((byte)(left > 0x7f ? left | 0x80 : left));
            if (left <= 0x7f) return;
        }
    }
}

using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Tensors in TorchSharp's file format: dtype, rank and sizes as LEB128 numbers, then the elements. TorchSharp's own reader believes whatever stands
/// there, and one flipped bit can end the process: so a header is checked here before anything is allocated or read.
/// </summary>
internal static class TensorFile
{
    // More than any tensor has; libtorch's own operations stop at 64.
    private const int MostDimensions = 64;

    /// <summary>A tensor in a file, before its elements.</summary>
    public readonly record struct Header(ScalarType Dtype, long[] Shape, long Bytes);

    /// <summary>Reads a header. <paramref name="name"/> is what messages call the tensor.</summary>
    /// <exception cref="InvalidDataException">It is none of a tensor.</exception>
    /// <exception cref="EndOfStreamException">The file is shorter than the elements that the header announces.</exception>
    public static Header ReadHeader(BinaryReader reader, string name)
    {
        long dtype = ReadNumber(reader), rank = ReadNumber(reader);
        int size = SizeOf(dtype);
        if (size == 0 || rank is < 0 or > MostDimensions) throw Corrupted($"{name} has dtype {dtype} and {rank} dimensions");
        var shape = new long[rank];
        for (int i = 0; i < rank; i++) shape[i] = ReadNumber(reader);
        // Sizes beside a 0 count too: libtorch's strides are products of them.
        UInt128 most = (UInt128)size;
        foreach (long s in shape)
            if (s < 0 || (most *= (UInt128)Math.Max(1, s)) > long.MaxValue) throw Corrupted($"{name} has shape [{string.Join(", ", shape)}]");
        long bytes = shape.Contains(0) ? 0 : (long)most;
        var stream = reader.BaseStream;
        if (stream.CanSeek && bytes > stream.Length - stream.Position)
            throw new EndOfStreamException($"The file is cut short or corrupted: {name} takes {bytes} bytes, and {stream.Length - stream.Position} are left.");
        return new((ScalarType)dtype, shape, bytes);
    }

    /// <summary>The elements that follow a header: a new tensor on the CPU, of the current DisposeScope. What the header says is to be checked first.</summary>
    public static Tensor ReadElements(BinaryReader reader, Header header)
    {
        var tensor = empty(header.Shape, header.Dtype, CPU);
        try
        {
            tensor.ReadBytesFromStream(reader.BaseStream, 1 << 16);
            return tensor;
        }
        catch
        {
            tensor.Dispose();
            throw;
        }
    }

    /// <summary>Passes over the elements; allocates nothing, however many the header says there are.</summary>
    public static void SkipElements(BinaryReader reader, Header header)
    {
        var buffer = new byte[Math.Min(header.Bytes, 1 << 16)];
        for (long left = header.Bytes; left > 0; left -= Math.Min(left, buffer.Length))
            reader.BaseStream.ReadExactly(buffer, 0, (int)Math.Min(left, buffer.Length));
    }

    /// <summary>A count or a size.</summary>
    public static long ReadNumber(BinaryReader reader) => Read(reader.Read7BitEncodedInt64);

    /// <summary>A key.</summary>
    public static string ReadName(BinaryReader reader) => Read(reader.ReadString);

    /// <summary>Whether something follows: 0 or 1, where BinaryReader takes any byte.</summary>
    public static bool ReadFlag(BinaryReader reader) => reader.ReadByte() switch
    {
        0 => false,
        1 => true,
        var flag => throw Corrupted($"a flag is {flag}"),
    };

    public static bool IsFloating(ScalarType dtype) => dtype is ScalarType.Float16 or ScalarType.BFloat16 or ScalarType.Float32 or ScalarType.Float64;

    public static InvalidDataException Corrupted(string what) => new($"The file is corrupted, or of another format: {what}.");

    private static T Read<T>(Func<T> read)
    {
        try
        {
            return read();
        }
        catch (FormatException e)
        {
            throw Corrupted(e.Message); // a number of more than 64 bits
        }
    }

    /// <summary>Of an element; 0 where the number is no dtype that TorchSharp saves.</summary>
    private static int SizeOf(long dtype) => dtype is < 0 or > sbyte.MaxValue ? 0 : (ScalarType)dtype switch
    {
        ScalarType.Byte or ScalarType.Int8 or ScalarType.Bool => 1,
        ScalarType.Int16 or ScalarType.Float16 or ScalarType.BFloat16 => 2,
        ScalarType.Int32 or ScalarType.Float32 => 4,
        ScalarType.Int64 or ScalarType.Float64 or ScalarType.ComplexFloat32 => 8,
        ScalarType.ComplexFloat64 => 16,
        _ => 0,
    };
}

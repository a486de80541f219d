using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Reads tensors in TorchSharp's file format: dtype, rank and sizes as LEB128 numbers, then the elements. TorchSharp's reader does not check a header, and
/// one flipped bit can end the process. So this class checks a header before it allocates or reads anything.
/// </summary>
internal static class TensorFile
{
    // libtorch's operations support at most 64 dimensions.
    private const int MostDimensions = 64;

    /// <summary>The header of a tensor in a file.</summary>
    public readonly record struct Header(ScalarType Dtype, long[] Shape, long Bytes);

    /// <summary>Reads a header. <paramref name="name"/> is the tensor's name in error messages.</summary>
    /// <exception cref="InvalidDataException">The bytes are not the header of a tensor.</exception>
    /// <exception cref="EndOfStreamException">The file ends before the elements that the header describes.</exception>
    public static Header ReadHeader(BinaryReader reader, string name)
    {
        long dtype = ReadNumber(reader), rank = ReadNumber(reader);
        int size = SizeOf(dtype);
        if (size == 0 || rank is < 0 or > MostDimensions) throw Corrupted($"{name} has dtype {dtype} and {rank} dimensions");
        var shape = new long[rank];
        for (int i = 0; i < rank; i++) shape[i] = ReadNumber(reader);
        // If one size is 0, the other sizes are checked too, because libtorch's strides are products of sizes.
        UInt128 most = (UInt128)size;
        foreach (long s in shape)
            if (s < 0 || (most *= (UInt128)Math.Max(1, s)) > long.MaxValue) throw Corrupted($"{name} has shape [{string.Join(", ", shape)}]");
        long bytes = shape.Contains(0) ? 0 : (long)most;
        var stream = reader.BaseStream;
        if (stream.CanSeek && bytes > stream.Length - stream.Position)
            throw new EndOfStreamException($"The file is cut short or corrupted: {name} takes {bytes} bytes, and {stream.Length - stream.Position} are left.");
        return new((ScalarType)dtype, shape, bytes);
    }

    /// <summary>
    /// Reads the elements after a header into a new tensor on the CPU, which belongs to the current DisposeScope. The caller must check the header's dtype
    /// and shape first.
    /// </summary>
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

    /// <summary>Skips the elements with a small buffer, however many the header describes.</summary>
    public static void SkipElements(BinaryReader reader, Header header)
    {
        var buffer = new byte[Math.Min(header.Bytes, 1 << 16)];
        for (long left = header.Bytes; left > 0; left -= Math.Min(left, buffer.Length))
            reader.BaseStream.ReadExactly(buffer, 0, (int)Math.Min(left, buffer.Length));
    }

    /// <summary>Reads a count or a size.</summary>
    public static long ReadNumber(BinaryReader reader) => Read(reader.Read7BitEncodedInt64);

    /// <summary>Reads a key.</summary>
    public static string ReadName(BinaryReader reader) => Read(reader.ReadString);

    /// <summary>Reads a flag, which must be 0 or 1; BinaryReader accepts any byte.</summary>
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

    /// <summary>Bytes of an element; 0 if the number is not a dtype that TorchSharp saves.</summary>
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

using System.Buffers.Binary;
using System.IO.Compression;
using TorchStab.Samples;

namespace TrainMnist;

/// <summary>
/// Reads MNIST's file format, IDX: two zero bytes, the element type, the number of dimensions, each dimension as a big-endian
/// 32-bit integer, then the elements. Here the elements are unsigned bytes and the first dimension counts the items.
/// </summary>
internal static class IdxFile
{
    private const byte UnsignedByte = 8;

    /// <summary>Reads NAME.gz of the folder or, where that is missing, NAME; gzipped or not.</summary>
    /// <exception cref="SampleException">Missing, truncated or corrupt, or items of another shape: names the file and what was expected.</exception>
    public static (int Count, byte[] Items) Read(DirectoryInfo folder, string name, params int[] itemShape)
    {
        string path = Path.Combine(folder.FullName, name + ".gz");
        if (!File.Exists(path) && File.Exists(path[..^3])) path = path[..^3];
        string expected = $"expected an IDX file of unsigned bytes, N{string.Concat(itemShape.Select(d => $"×{d}"))}, gzipped or not";
        try
        {
            return Parse(Unpack(File.ReadAllBytes(path)), itemShape);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new SampleException($"{path} is missing: {expected}.", e);
        }
        catch (Exception e) when (e is InvalidDataException or IOException or UnauthorizedAccessException)
        {
            throw new SampleException($"{path} cannot be used ({e.Message.TrimEnd('.')}): {expected}.", e);
        }
    }

    private static byte[] Unpack(byte[] file)
    {
        if (file is not [0x1f, 0x8b, _, _, ..]) return file;
        using var unpacked = new MemoryStream();
        try
        {
            using var gzip = new GZipStream(new MemoryStream(file), CompressionMode.Decompress);
            gzip.CopyTo(unpacked);
        }
        catch (InvalidDataException e)
        {
            throw new InvalidDataException("corrupt: not a whole gzip stream", e);
        }
        // .NET takes a stream that ends early for a complete one; its last four bytes are the length it should have.
        if (BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(^4..)) != (uint)unpacked.Length) throw new InvalidDataException("truncated: the gzip stream ends early");
        return unpacked.ToArray();
    }

    private static (int Count, byte[] Items) Parse(byte[] idx, int[] itemShape)
    {
        int header = 4 + 4 * (1 + itemShape.Length);
        if (idx.Length < header) throw new InvalidDataException($"truncated: {idx.Length} bytes, the header alone has {header}");
        byte[] magic = [0, 0, UnsignedByte, (byte)(1 + itemShape.Length)];
        if (!idx.AsSpan(0, 4).SequenceEqual(magic))
            throw new InvalidDataException($"begins with {Convert.ToHexString(idx, 0, 4)}, not {Convert.ToHexString(magic)}");
        int[] shape = [.. Enumerable.Range(1, 1 + itemShape.Length).Select(i => BinaryPrimitives.ReadInt32BigEndian(idx.AsSpan(4 * i)))];
        if (shape[0] <= 0 || !shape.Skip(1).SequenceEqual(itemShape))
            throw new InvalidDataException($"announces {string.Join('×', shape)}");
        long length = header + shape.Aggregate(1L, (product, d) => product * d);
        if (idx.Length != length)
            throw new InvalidDataException($"{(idx.Length < length ? "truncated" : "too long")}: {idx.Length} bytes where its header announces {length}");
        return (shape[0], idx[header..]);
    }
}

using System.Buffers.Binary;

namespace TorchStab.Samples;

/// <summary>
/// Reads MNIST's file format, IDX: two zero bytes, the element type, the number of dimensions, each dimension as a big-endian
/// 32-bit integer, then the elements. Here the elements are unsigned bytes and the first dimension counts the items.
/// </summary>
public static class IdxFile
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
            return Parse(Gzip.Unpack(File.ReadAllBytes(path)), itemShape);
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

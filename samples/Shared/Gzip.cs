using System.Buffers.Binary;
using System.IO.Compression;

namespace TorchStab.Samples;

/// <summary>Files that may be gzipped.</summary>
internal static class Gzip
{
    /// <exception cref="InvalidDataException">A gzip stream that is damaged or ends early.</exception>
    public static byte[] Unpack(byte[] file)
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
        if (BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(^4..)) != (uint)unpacked.Length)
            throw new InvalidDataException("truncated: the gzip stream ends early");
        return unpacked.ToArray();
    }
}

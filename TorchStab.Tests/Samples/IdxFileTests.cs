using System.IO.Compression;
using TorchStab.Samples;

namespace TorchStab.Tests.Samples;

/// <summary>MNIST's files: read right, and refused in one line that names the file and what was expected.</summary>
public sealed class IdxFileTests : IDisposable
{
    private const string Name = "t10k-images-idx3-ubyte";
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("torchstab");

    private static byte[] Whole { get; } = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3, .. Enumerable.Range(0, 12).Select(i => (byte)i)];

    public void Dispose() => _folder.Delete(recursive: true);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Reads_gzipped_and_plain_files(bool gzip)
    {
        Write(gzip ? Gzip(Whole) : Whole, gzip);
        var (count, items) = IdxFile.Read(_folder, Name, 2, 3);
        Assert.Equal(2, count);
        Assert.Equal(Enumerable.Range(0, 12).Select(i => (byte)i), items);
    }

    [Fact]
    public void The_files_that_come_along_are_whole()
    {
        Assert.Equal(10_000, IdxFile.Read(Mnist.OwnFolder, "train-images-idx3-ubyte", 28, 28).Count);
        Assert.Equal(2_000, IdxFile.Read(Mnist.OwnFolder, "t10k-labels-idx1-ubyte").Count);
    }

    [Fact]
    public void A_missing_file_or_folder_is_named()
    {
        Refused("is missing");
        _folder.Delete();
        Refused("is missing");
        _folder.Create();
    }

    [Fact]
    public void A_file_that_ends_early_is_refused_wherever_it_ends()
    {
        for (int length = 0; length < Whole.Length; length++)
        {
            Write(Whole[..length], gzip: false);
            Refused("truncated");
        }
        File.Delete(Path.Combine(_folder.FullName, Name));
        byte[] packed = Gzip(Whole);
        for (int length = 0; length < packed.Length; length++)
        {
            Write(packed[..length], gzip: true);
            Refused("cannot be used");
        }
    }

    [Fact]
    public void A_damaged_file_is_refused()
    {
        byte[] packed = Gzip(Whole);
        packed[^6] ^= 0x55;
        Write(packed, gzip: true);
        Refused("cannot be used");
        Write([.. Whole, 0], gzip: true);
        Refused("too long");
        Write([0, 0, 8, 1, .. Whole[4..]], gzip: true);
        Refused("begins with 00000801");
        Write([.. Whole[..7], 0xff, .. Whole[8..]], gzip: true);
        Refused("truncated");
        Write([0, 0, 8, 3, 0xff, .. Whole[5..]], gzip: true);
        Refused("announces");
    }

    private void Refused(string why)
    {
        var error = Assert.Throws<SampleException>(() => IdxFile.Read(_folder, Name, 2, 3));
        Assert.Contains(Path.Combine(_folder.FullName, Name), error.Message);
        Assert.Contains(why, error.Message);
        Assert.Contains("expected an IDX file of unsigned bytes, N×2×3", error.Message);
        Assert.DoesNotContain('\n', error.Message);
    }

    private void Write(byte[] content, bool gzip) => File.WriteAllBytes(Path.Combine(_folder.FullName, gzip ? Name + ".gz" : Name), content);

    private static byte[] Gzip(byte[] content)
    {
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Optimal)) gzip.Write(content);
        return packed.ToArray();
    }
}

using static TorchSharp.torch;

namespace TorchStab.Samples;

/// <summary>Images of handwritten digits with their labels, on one device; images stay bytes until a batch is drawn.</summary>
public sealed class Mnist : IDisposable
{
    public const int Pixels = 28 * 28, Classes = 10;
    // Mean and standard deviation of MNIST's training pixels.
    // Kept for good: the Scalar that TorchSharp makes of a number may be finalized while libtorch still reads it ("Unknown scalar type").
    private static readonly TorchSharp.Scalar White = 255, Mean = 0.1307, Std = 0.3081;
    private readonly Tensor _images, _labels;

    private Mnist(Tensor images, Tensor labels) => (_images, _labels) = (images, labels);

    public long Count => _labels.shape[0];

    /// <summary>The data that comes with the sample.</summary>
    public static DirectoryInfo OwnFolder => new(Path.Combine(AppContext.BaseDirectory, "data"));

    /// <exception cref="SampleException">A file is missing or damaged, or images and labels do not match.</exception>
    public static Mnist Train(DirectoryInfo folder, Device device, int? most = null) => Load(folder, "train", device, most);

    /// <inheritdoc cref="Train"/>
    public static Mnist Test(DirectoryInfo folder, Device device, int? most = null) => Load(folder, "t10k", device, most);

    /// <summary>The items at these indices, in the caller's DisposeScope: normalized float images (N, 784) and int64 labels (N).</summary>
    public (Tensor Images, Tensor Labels) Batch(Tensor indices) =>
        (_images.index_select(0, indices).to(ScalarType.Float32).div_(White).sub_(Mean).div_(Std), _labels.index_select(0, indices));

    public void Dispose()
    {
        _images.Dispose();
        _labels.Dispose();
    }

    private static Mnist Load(DirectoryInfo folder, string part, Device device, int? most)
    {
        string imageFile = $"{part}-images-idx3-ubyte", labelFile = $"{part}-labels-idx1-ubyte";
        var (count, images) = IdxFile.Read(folder, imageFile, 28, 28);
        var (labelCount, labels) = IdxFile.Read(folder, labelFile);
        if (labelCount != count)
            throw new SampleException($"{folder.FullName}: {labelFile} holds {labelCount} labels, expected one for each of the {count} images of {imageFile}.");
        int wrong = Array.FindIndex(labels, label => label >= Classes);
        if (wrong >= 0) throw new SampleException($"{folder.FullName}: {labelFile} is corrupt: label {wrong} is {labels[wrong]}, expected 0 to 9.");
        int used = Math.Min(count, most ?? count);
        return new Mnist(
            tensor(images.AsMemory(0, used * Pixels), [used, Pixels], ScalarType.Byte, device),
            tensor(Array.ConvertAll(labels[..used], label => (long)label), device: device));
    }
}

using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Comparisons;

/// <summary>Lists of parameter shapes as real models have them.</summary>
internal static class ParameterLists
{
    /// <summary>ResNet-18: 62 tensors, 11.7 M elements.</summary>
    public static List<long[]> ResNet18()
    {
        var shapes = new List<long[]> { new long[] { 64, 3, 7, 7 }, new long[] { 64 }, new long[] { 64 } };
        long channels = 64;
        foreach (long width in new long[] { 64, 64, 128, 128, 256, 256, 512, 512 })
        {
            shapes.AddRange([[width, channels, 3, 3], [width], [width], [width, width, 3, 3], [width], [width]]);
            if (width != channels) shapes.AddRange([[width, channels, 1, 1], [width], [width]]);
            channels = width;
        }
        shapes.AddRange([[1000, 512], [1000]]);
        return shapes;
    }

    /// <summary>ResNet-50: 161 tensors, 25.6 M elements.</summary>
    public static List<long[]> ResNet50()
    {
        var shapes = new List<long[]> { new long[] { 64, 3, 7, 7 }, new long[] { 64 }, new long[] { 64 } };
        long channels = 64;
        foreach (var (width, blocks) in new (long, int)[] { (64, 3), (128, 4), (256, 6), (512, 3) })
        {
            for (int block = 0; block < blocks; block++)
            {
                shapes.AddRange([[width, channels, 1, 1], [width], [width], [width, width, 3, 3], [width], [width], [4 * width, width, 1, 1],
                    [4 * width], [4 * width]]);
                if (block == 0) shapes.AddRange([[4 * width, channels, 1, 1], [4 * width], [4 * width]]);
                channels = 4 * width;
            }
        }
        shapes.AddRange([[1000, 2048], [1000]]);
        return shapes;
    }

    /// <summary>A small GPT: width 384, 6 layers, a vocabulary of 8000: 76 tensors, 13.8 M elements.</summary>
    public static List<long[]> Gpt()
    {
        const long width = 384;
        var shapes = new List<long[]> { new[] { 8000, width }, new[] { 256, width } };
        for (int layer = 0; layer < 6; layer++)
        {
            shapes.AddRange([[width], [width], [3 * width, width], [3 * width], [width, width], [width]]);
            shapes.AddRange([[width], [width], [4 * width, width], [4 * width], [width, 4 * width], [width]]);
        }
        shapes.AddRange([[width], [width]]);
        return shapes;
    }

    public static List<long[]> Same(int tensors, params long[] shape) => [.. Enumerable.Repeat(shape, tensors)];

    /// <summary>Parameters with gradients; the same for the same seed, owned by the caller.</summary>
    public static List<Parameter> WithGradients(IEnumerable<long[]> shapes, int seed)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator((ulong)seed);
        return [.. shapes.Select(shape => New(shape, generator))];
    }

    public static long Elements(IEnumerable<Parameter> parameters) => parameters.Sum(p => p.numel());

    private static Parameter New(long[] shape, Generator generator)
    {
        var parameter = new Parameter(randn(shape, generator: generator)) { grad = randn(shape, generator: generator) };
        parameter.DetachFromDisposeScope();
        return parameter;
    }

    /// <summary>Throws if two lists of parameters differ by more than is allowed.</summary>
    public static void RequireSame(string name, IEnumerable<Parameter> theirs, IEnumerable<Parameter> mine, double allowed)
    {
        using var scope = NewDisposeScope();
        double worst = theirs.Zip(mine, (a, b) => (a - b).abs().max().to(ScalarType.Float64).item<double>()).Max();
        if (!(worst <= allowed)) throw new InvalidOperationException($"{name}: the parameters differ by {worst}");
    }
}

using TorchStab.Dispatch;
using TorchStab.Kernels;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Kernels;

/// <summary>The vector kernels of LayerNorm2d against the scalar reference in double: every width, every element type, every tail.</summary>
public unsafe class LayerNorm2dKernelTests
{
    private const double Eps = 1e-3;

    public static TheoryData<int, int> Instances => KernelInstances.All;

    [Theory]
    [MemberData(nameof(Instances))]
    public void Every_number_of_positions_agrees_with_the_reference(int width, int element)
    {
        foreach (int n in KernelInstances.Lengths.Where(n => n < 1000)) Check((VectorWidth)width, (Element)element, (2, 7, n));
    }

    [Theory]
    [MemberData(nameof(Instances))]
    public void Every_number_of_channels_agrees_with_the_reference(int width, int element)
    {
        foreach (int c in new[] { 1, 2, 3, 4, 5, 16, 17, 63, 64, 65, 66, 130, 300, 1500 }) Check((VectorWidth)width, (Element)element, (2, c, 70));
    }

    /// <summary>More than one tile in a sample and more than one in a block; rows of whole cache lines are streamed.</summary>
    [Theory]
    [MemberData(nameof(Instances))]
    public void Tiles_of_a_large_plane_agree_with_the_reference(int width, int element)
    {
        Check((VectorWidth)width, (Element)element, (3, 6, 1600));
        Check((VectorWidth)width, (Element)element, (1, 900, 200));
    }

    [Theory]
    [MemberData(nameof(Instances))]
    public void An_outlier_and_equal_values_are_measured_exactly(int width, int element)
    {
        if (KernelInstances.IsHalf((Element)element)) return; // too few digits to hold them
        var random = new Random(4);
        Check((VectorWidth)width, (Element)element, (1, 1600, 21), i => i / 21 % 100 == 0 ? 1e4 : random.NextDouble()); // all that the shift is taken from
        Check((VectorWidth)width, (Element)element, (2, 50, 21), _ => 3);
    }

    [Fact]
    public void A_large_mean_costs_no_digits()
    {
        var random = new Random(3);
        foreach (var width in KernelForm.Widths)
            Check(width, Element.Float32, (2, 100, 50), _ => 1e4 + (1e-2 * (random.NextDouble() + random.NextDouble() - 1)), eps: 0, backward: false);
    }

    [Fact]
    public void Tiles_cover_every_position_once()
    {
        foreach (var (channels, positions, size) in new[] { (1, 1, 4), (96, 3136, 4), (768, 49, 2), (4000, 200, 8), (3, 512, 4), (3, 513, 4) })
        {
            int tiles = PositionTile.Count(channels, positions, size);
            var seen = Enumerable.Range(0, 2 * tiles).Select(i => new PositionTile(i, channels, positions, size)).ToArray();
            Assert.All(seen, t => Assert.InRange(t.Columns, 1, PositionTile.MostColumns));
            Assert.Equal(Enumerable.Range(0, 2 * positions), seen.SelectMany(t => Enumerable.Range((t.Sample * positions) + t.Begin, t.Columns)));
        }
    }

    private static void Check(VectorWidth width, Element element, (int Samples, int Channels, int Positions) shape, Func<int, double>? input = null,
        double eps = Eps, bool backward = true)
    {
        var (samples, channels, n) = shape;
        var random = new Random(n);
        int count = samples * channels * n, tiles = samples * PositionTile.Count(channels, n, NativeBuffer.Size(element)), blocks = (tiles + 1) / 2;
        using var x = Buffer(element, count, input ?? (_ => random.NextDouble() - 0.3));
        using var dy = Buffer(element, count, _ => random.NextDouble() - 0.4);
        using var weight = Buffer(KernelInstances.Arithmetic(element), channels, _ => random.NextDouble() + 0.5);
        using var bias = Buffer(KernelInstances.Arithmetic(element), channels, _ => random.NextDouble() - 0.5);
        using NativeBuffer y = new(element, count), dx = new(element, count);
        using NativeBuffer dweight = new(KernelInstances.Arithmetic(element), channels), dbias = new(KernelInstances.Arithmetic(element), channels);
        using NativeBuffer statistics = new(Element.Float64, 2 * samples * n), sums = new(Element.Float64, 2 * blocks * channels);
        var job = new ChannelNormJob
        {
            Input = x.Pointer,
            Output = y.Pointer,
            OutputGradient = dy.Pointer,
            InputGradient = dx.Pointer,
            Weight = weight.Pointer,
            Bias = bias.Pointer,
            WeightGradient = dweight.Pointer,
            BiasGradient = dbias.Pointer,
            Mean = (double*)statistics.Pointer,
            InverseDeviation = (double*)statistics.Pointer + (samples * n),
            Sums = (double*)sums.Pointer,
            Samples = samples,
            Channels = channels,
            Positions = n,
            BlockRows = 2,
            Blocks = blocks,
            Epsilon = eps,
            Stream = true,
        };
        ref readonly var kernel = ref Instances<LayerNorm2dKernel>.Of(element, (int)width);
        kernel.Forward(&job, 0, 1);
        kernel.Forward(&job, 1, tiles);
        double[] input64 = x.ToArray(), weight64 = weight.ToArray(), expected = new double[count];
        LayerNorm2dReference.Forward(input64, weight64, bias.ToArray(), n, eps, expected);
        double tolerance = KernelInstances.Tolerance(element);
        y.AssertClose(expected, eps == 0 ? Tolerance.LargeMean : tolerance, $"{shape}, output");
        statistics.AssertBorders("statistics");
        if (!backward) return;

        kernel.Backward(&job, 0, blocks);
        kernel.Merge(&job, 0, (channels + ChannelNormJob.MergeWidth - 1) / ChannelNormJob.MergeWidth);
        double[] weightGradient = new double[channels], biasGradient = new double[channels];
        LayerNorm2dReference.Backward(input64, dy.ToArray(), weight64, n, eps, expected, weightGradient, biasGradient);
        dx.AssertClose(expected, tolerance * Steepness(input64, shape, eps), $"{shape}, input gradient");
        double terms = Math.Sqrt((double)samples * n); // as large as a sum may become before it cancels
        dweight.AssertClose(weightGradient, tolerance * terms, $"{shape}, weight gradient");
        dbias.AssertClose(biasGradient, tolerance * terms, $"{shape}, bias gradient");
        sums.AssertBorders("sums");
    }

    private static double Steepness(double[] x, (int Samples, int Channels, int Positions) shape, double eps)
    {
        var (samples, channels, n) = shape;
        double[] rows = [.. Enumerable.Range(0, samples * n)
            .SelectMany(p => Enumerable.Range(0, channels).Select(c => x[(((p / n * channels) + c) * n) + (p % n)]))];
        return KernelInstances.Steepness(rows, channels, eps, centre: true);
    }

    private static NativeBuffer Buffer(Element element, int count, Func<int, double> value) => new(element, [.. Enumerable.Range(0, count).Select(value)]);
}

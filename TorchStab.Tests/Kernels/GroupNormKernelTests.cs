using TorchStab.Dispatch;
using TorchStab.Kernels;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Kernels;

/// <summary>The vector kernels of GroupNorm and InstanceNorm against the scalar reference in double: every width, every element type, every tail.</summary>
public unsafe class GroupNormKernelTests
{
    private const int Samples = 3, Channels = 6;
    private const double Eps = 1e-3;

    public static TheoryData<int, int> Instances => KernelInstances.All;

    [Theory]
    [MemberData(nameof(Instances))]
    public void Groups_agree_with_the_reference(int width, int element)
    {
        foreach (int n in KernelInstances.Lengths) Check((VectorWidth)width, (Element)element, 2, n);
    }

    [Theory]
    [MemberData(nameof(Instances))]
    public void Instances_agree_with_the_reference(int width, int element)
    {
        foreach (int n in new[] { 2, 5, 49, 196, 257, 20_000 })
            Check((VectorWidth)width, (Element)element, Channels, n);
    }

    [Fact]
    public void A_large_mean_costs_no_digits()
    {
        var random = new Random(3);
        foreach (var width in KernelForm.Widths)
        {
            Check(width, Element.Float32, 2, 100,
                _ => 1e4 + (1e-2 * (random.NextDouble() + random.NextDouble() - 1)), eps: 0, backward: false);
        }
    }

    private static void Check(VectorWidth width, Element element, int groups, int n, Func<int, double>? input = null,
        double eps = Eps, bool backward = true)
    {
        var random = new Random(n);
        int count = Samples * Channels * n;
        using var x = Buffer(element, count, input ?? (_ => random.NextDouble() - 0.3));
        using var dy = Buffer(element, count, _ => random.NextDouble() - 0.4);
        using var weight = Buffer(KernelInstances.Arithmetic(element), Channels, _ => random.NextDouble() + 0.5);
        using var bias = Buffer(KernelInstances.Arithmetic(element), Channels, _ => random.NextDouble() - 0.5);
        using NativeBuffer y = new(element, count), dx = new(element, count);
        using NativeBuffer dweight = new(KernelInstances.Arithmetic(element), Channels), dbias = new(KernelInstances.Arithmetic(element), Channels);
        using NativeBuffer statistics = new(Element.Float64, 3 * Samples * groups), sums = new(Element.Float64, 2 * Samples * Channels);
        double* values = (double*)statistics.Pointer;
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
            Mean = values,
            Variance = values + (Samples * groups),
            InverseDeviation = values + (2 * Samples * groups),
            Sums = (double*)sums.Pointer,
            Samples = Samples,
            Channels = Channels,
            Positions = n,
            Groups = groups,
            Epsilon = eps,
            Stream = true,
        };
        ref readonly var kernel = ref Instances<GroupNormKernel>.Of(element, (int)width);
        kernel.Forward(&job, 0, Samples * groups);
        double[] input64 = x.ToArray(), weight64 = weight.ToArray(), expected = new double[count];
        GroupNormReference.Forward(input64, groups, weight64, bias.ToArray(), n, eps, expected);
        double tolerance = KernelInstances.Tolerance(element);
        y.AssertClose(expected, eps == 0 ? Tolerance.LargeMean : tolerance, $"n = {n}, output");
        if (!backward) return;

        kernel.Backward(&job, 0, Samples * groups);
        kernel.Merge(&job, 0, 1);
        double[] weightGradient = new double[Channels], biasGradient = new double[Channels];
        GroupNormReference.Backward(input64, dy.ToArray(), groups, weight64, n, eps, expected, weightGradient, biasGradient);
        dx.AssertClose(expected, tolerance * KernelInstances.Steepness(input64, Channels / groups * n, eps, centre: true), $"n = {n}, input gradient");
        double terms = Math.Sqrt((double)Samples * n); // as large as a sum may become before it cancels
        dweight.AssertClose(weightGradient, tolerance * terms, $"n = {n}, weight gradient");
        dbias.AssertClose(biasGradient, tolerance * terms, $"n = {n}, bias gradient");
        statistics.AssertBorders("statistics");
        sums.AssertBorders("sums");
    }

    private static NativeBuffer Buffer(Element element, int count, Func<int, double> value) => new(element, [.. Enumerable.Range(0, count).Select(value)]);
}

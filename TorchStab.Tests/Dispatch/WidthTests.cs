using System.Numerics;
using System.Runtime.InteropServices;
using TorchStab.Dispatch;
using TorchStab.Kernels;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Dispatch;

/// <summary>A change of <see cref="KernelSelection.Width"/> reaches every kernel, whatever ran before.</summary>
public sealed unsafe class WidthTests
{
    public static TheoryData<int> Widths => [.. KernelForm.Widths.Select(w => (int)w)];

    [Theory]
    [MemberData(nameof(Widths))]
    public void Steps_run_at_the_width(int width)
    {
        using var form = KernelForm.Kernel(width: (VectorWidth)width);
        using var scope = NewDisposeScope();
        foreach (var (parameter, state, bytes) in new[] { (ScalarType.Float32, ScalarType.Float32, 4), (ScalarType.Float64, ScalarType.Float64, 8),
            (ScalarType.BFloat16, ScalarType.Float32, 4) })
        {
            var p = ones(3, parameter);
            var pass = StepLaunch<Probe, int>.Start();
            Assert.True(pass.TryAdd(0, new(TensorView.Of(p), TensorView.Of(p), TensorView.Of(ones(3, state)))));
            pass.Run();
            Assert.Equal(Math.Max(width / (8 * bytes), 1), Probe.Lanes);
            Assert.Equal(parameter == ScalarType.BFloat16 ? 2 : bytes, Probe.ElementSize);
        }
    }

    /// <summary>Sums of another width are added in another order: the bits tell which ran.</summary>
    [Theory]
    [MemberData(nameof(Widths))]
    public void Norms_and_moments_have_the_bits_of_the_width(int width)
    {
        using var form = KernelForm.Kernel(width: (VectorWidth)width);
        using var scope = NewDisposeScope();
        manual_seed(3);
        var x = randn(30_001, ScalarType.Float64);
        double squares = Direct(x, width), norm = 0;
        Assert.Null(GlobalNormLaunch.Norms([TensorView.Of(x)], 2, new(ref norm)));
        Assert.Equal(Math.Sqrt(squares), norm);
        Assert.True(MomentsLaunch.TryTake(x, out double mean, out double variance));
        Assert.Equal((squares / 30_001) - (mean * mean), variance);
        Assert.NotEqual(1, KernelForm.Widths.Select(w => Direct(x, (int)w)).Distinct().Count());
    }

    [Fact]
    public void Each_width_has_instances_of_its_own()
    {
        Distinct<GlobalNormKernel.Family>();
        Distinct<BucketKernel.Family>();
        Distinct<SharedSumKernel.Family>();
        Distinct<ConstantKernel.Family>();
        Distinct<AdamKernel>();
        Distinct<RowNormKernel<Yes>>();
        Distinct<BatchNormKernel<No>>();
        Distinct<GroupNormKernel>();
    }

    /// <summary>One place turns a width into a vector type, and nothing keeps what it gave.</summary>
    [Fact]
    public void No_file_chooses_a_vector_or_keeps_an_instance()
    {
        string[] own = ["V128.cs", "V256.cs", "V512.cs", "Instances.cs"];
        SourceFile.AssertNone(SourceFile.In("TorchStab").Where(f => !own.Contains(Path.GetFileName(f.Path)))
            .SelectMany(f => f.Find(@"\bV(128|256|512)<|\bstatic readonly [^\n;]*Instances<|VectorWidth\.V\d+ =>")));
    }

    private static void Distinct<F>() where F : unmanaged, IFamily<F>
    {
        foreach (var element in Enum.GetValues<Element>())
        {
            string[] instances = [.. Enum.GetValues<VectorWidth>()
                .Select(w => Convert.ToHexString(MemoryMarshal.AsBytes(new ReadOnlySpan<F>(in Instances<F>.Of(element, (int)w)))))];
            Assert.Equal(instances.Length, instances.Distinct().Count());
            Assert.Equal(instances[0], Convert.ToHexString(MemoryMarshal.AsBytes(new ReadOnlySpan<F>(in Instances<F>.Of(element, 0)))));
        }
    }

    private static double Direct(Tensor x, int width)
    {
        void* data = TensorView.Of(x).Data;
        return width switch
        {
            512 => GlobalNormKernel.SumOfSquares<V512<double>, double, double>(data, 0, 30_001),
            256 => GlobalNormKernel.SumOfSquares<V256<double>, double, double>(data, 0, 30_001),
            128 => GlobalNormKernel.SumOfSquares<V128<double>, double, double>(data, 0, 30_001),
            _ => GlobalNormKernel.SumOfSquares<V1<double>, double, double>(data, 0, 30_001),
        };
    }

    private readonly struct Probe : IStepFamily<Probe>
    {
        public static int Lanes { get; private set; }

        public static int ElementSize { get; private set; }

        public delegate*<StepJob*, int, int, void> Update { get; private init; }

        static Probe IFamily<Probe>.Of<V, T, E>() => new() { Update = &Run<V, T, E> };

        private static void Run<V, T, E>(StepJob* job, int first, int last)
            where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
                where E : unmanaged => (Lanes, ElementSize) = (V.Count, sizeof(E));
    }
}

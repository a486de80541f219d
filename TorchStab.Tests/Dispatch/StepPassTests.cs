using System.Numerics;
using TorchStab.Dispatch;
using TorchStab.Kernels;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Dispatch;

public sealed unsafe class StepPassTests : IDisposable
{
    private readonly TeamKind _team = ParallelTeam.Kind;

    public void Dispose() => ParallelTeam.Kind = _team;

    [Theory]
    [InlineData((int)TeamKind.OpenMP)]
    [InlineData((int)TeamKind.ThreadPool)]
    [InlineData((int)TeamKind.Serial)]
    public void Every_element_is_updated_once(int team)
    {
        ParallelTeam.Kind = (TeamKind)team;
        using var scope = NewDisposeScope();
        long[] lengths = [3, 40_000, 64, 64, 0, 300_001, 16];
        var p = lengths.Select(n => randn(n)).ToArray();
        var g = lengths.Select(n => randn(n)).ToArray();
        var expected = p.Zip(g, (x, d) => x - (0.5 * d)).ToArray();
        var pass = StepPass<SGDKernel, SGDArguments>.Start();
        for (int i = 0; i < p.Length; i++)
        {
            var arguments = new SGDArguments { Gradient = new() { Scale = 1, Bound = double.PositiveInfinity }, LearningRate = 0.5 };
            Assert.True(pass.TryAdd(arguments, new(TensorView.Of(p[i]), TensorView.Of(g[i]))));
        }
        pass.Run();
        for (int i = 0; i < p.Length; i++) Compare.Close(expected[i], p[i], $"parameter {i}");
    }

    [Fact]
    public void The_width_of_this_machine_is_what_runs()
    {
        StepKernels<Probe>.For(ScalarType.Float32, ScalarType.Float32)(null, null, 0, 0);
        Assert.Equal(Math.Max((int)KernelSelection.Width, 32), 32 * Probe.Lanes);
        StepKernels<Probe>.For(ScalarType.Float64, ScalarType.Float64)(null, null, 0, 0);
        Assert.Equal(Math.Max((int)KernelSelection.Width, 64), 64 * Probe.Lanes);
    }

    [Fact]
    public void Dtypes_without_a_kernel_have_none()
    {
        Assert.True(StepKernels<SGDKernel>.For(ScalarType.Float16, ScalarType.Float16) == null);
        Assert.True(StepKernels<SGDKernel>.For(ScalarType.BFloat16, ScalarType.BFloat16) == null);
        Assert.True(NormKernels.For(ScalarType.Float16, 2) == null);
        Assert.True(NormKernels.For(ScalarType.Float32, 3) == null);
    }

    private readonly struct Probe : IStepKernel
    {
        public static int Lanes { get; private set; }

        public static void Update<V, T, S>(StepStreams* streams, void* arguments, long first, long count)
            where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where S : IStorage<T> => Lanes = V.Count;
    }
}

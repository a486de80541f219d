using TorchStab.Dispatch;
using TorchStab.Kernels;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Dispatch;

public sealed unsafe class StepLaunchTests : IDisposable
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
        var pass = StepLaunch<SGDKernel, SGDArguments>.Start();
        for (int i = 0; i < p.Length; i++)
        {
            var arguments = new SGDArguments { Gradient = new() { Scale = 1, Bound = double.PositiveInfinity }, LearningRate = 0.5 };
            Assert.True(pass.TryAdd(arguments, new(TensorView.Of(p[i]), TensorView.Of(g[i]))));
        }
        pass.Run();
        for (int i = 0; i < p.Length; i++) Compare.Close(expected[i], p[i], $"parameter {i}");
    }

    [Fact]
    public void Dtypes_without_a_kernel_have_none()
    {
        using var scope = NewDisposeScope();
        Assert.True(Takes(ScalarType.Float32, ScalarType.Float32));
        Assert.True(Takes(ScalarType.BFloat16, ScalarType.Float32));
        Assert.True(Takes(ScalarType.Float16, ScalarType.Float32));
        Assert.False(Takes(ScalarType.BFloat16, ScalarType.BFloat16));
        Assert.False(Takes(ScalarType.Float16, ScalarType.Float16));
        Assert.False(Takes(ScalarType.Float32, ScalarType.Float64));
        Assert.True(ReductionKernels.For(ScalarType.Int64, 2) == null);
        Assert.True(ReductionKernels.For(ScalarType.Float32, 3) == null);

        static bool Takes(ScalarType parameter, ScalarType state) =>
            StepLaunch<SGDKernel, SGDArguments>.Start().TryAdd(default, new(View(parameter), View(parameter), View(state)));
        static TensorView View(ScalarType dtype) => TensorView.Of(ones(2, dtype));
    }
}

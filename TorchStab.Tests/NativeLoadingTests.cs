using static TorchSharp.torch;

namespace TorchStab.Tests;

public class NativeLoadingTests
{
    [Fact]
    public void Libtorch_loads_and_computes()
    {
        using var t = ones(2, 3);
        using var sum = t.sum();
        Assert.Equal(6f, sum.item<float>());
    }

    [Fact]
    public void The_golden_suites_load()
    {
        Assert.Equal(321, Support.GoldenSuite.Load("init").Cases.Count);
    }
}

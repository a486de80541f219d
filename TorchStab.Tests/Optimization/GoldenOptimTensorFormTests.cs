using TorchStab.Tests.Support;

namespace TorchStab.Tests.Optimization;

/// <summary>The whole suite once more with the kernels off.</summary>
public sealed class GoldenOptimTensorFormTests : GoldenOptimTests, IDisposable
{
    private readonly KernelsOff _off = new();

    public void Dispose() => _off.Dispose();
}

using TorchStab.Tests.Support;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace TorchStab.Tests.Normalization;

/// <summary>BatchNorm against torch.nn in the same process.</summary>
public class BatchNormTests
{
    [Fact]
    public void Functional_equals_libtorch()
    {
        using var scope = NewDisposeScope();
        var x = randn(4, 3, 5);
        var (m, v) = (randn(3), rand(3) + 0.5);
        var (m2, v2) = (m.clone(), v.clone());
        var (w, b) = (randn(3), randn(3));
        Compare.Close(F.batch_norm(x, m2, v2, w, b, true), stab.nn.functional.batch_norm(x, m, v, w, b, true), "output");
        Compare.Close(m2, m, "mean");
        Compare.Close(v2, v, "var");
        Compare.Close(F.batch_norm(x, m2, v2, w, b), stab.nn.functional.batch_norm(x, m, v, w, b), "output");
        using var bn = stab.nn.BatchNorm1d(3);
        Assert.Equal("BatchNorm1d(3, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)", bn.ToString());
        Compare.Close(F.batch_norm(x, null!, null!, training: true), bn.call(x), "module");
    }
}

using static TorchSharp.torch;

namespace TorchStab.Tests.Initialization;

public class SparseTests
{
    [Theory, InlineData(0, 0), InlineData(0.1, 1), InlineData(0.5, 5), InlineData(0.51, 6), InlineData(1, 10)]
    public void Every_column_loses_the_same_number(double sparsity, long zeros)
    {
        using var scope = NewDisposeScope();
        var w = stab.nn.init.sparse_(empty(10, 30), sparsity, 1);
        Assert.True(w.eq(0).sum(dim: 0).eq(zeros).all().item<bool>());
    }

    [Fact]
    public void A_tensor_without_memory_stays_as_it_is()
    {
        using var w = empty(10, 30, device: META);
        Assert.Same(w, stab.nn.init.sparse_(w, 0.1));
    }
}

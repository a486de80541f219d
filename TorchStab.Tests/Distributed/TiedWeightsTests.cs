using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchStab.Tests.Distributed.Shards;

namespace TorchStab.Tests.Distributed;

/// <summary>The gradient of a weight that two layers share is summed over the ranks once, and found by an optimizer that holds another handle.</summary>
public class TiedWeightsTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Its_gradient_is_summed_once(bool shared) => OnRanks([2, 3], rank =>
    {
        using var scope = NewDisposeScope();
        using var model = new Tied();
        using var ddp = stab.nn.DistributedDataParallel(model);
        using var optimizer = stab.optim.SGD([model.Table.weight!], 1);
        var before = model.Head.weight.detach().clone();
        ddp.call(zeros(rank + 2, dtype: ScalarType.Int64));
        model.Head.weight.grad = full([5, 3], rank + 1f);
        optimizer.step();
        Compare.Close(before - 3, model.Head.weight, $"rank {rank}");
    }, shared);
}

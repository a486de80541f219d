using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Tests.Optimization;

/// <summary>What an optimizer keeps for a parameter is no more than <c>torch.optim</c> keeps.</summary>
public class StateSizeTests
{
    public static TheoryData<string> Kinds => ["Adam", "Adam, amsgrad", "AdamW", "SGD", "SGD, momentum", "RMSprop"];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void State_is_no_larger_than_torch_optims(string kind)
    {
        using var scope = NewDisposeScope();
        Parameter[] mine = Parameters(), theirs = Parameters();
        (OptimizerHelper ours, OptimizerHelper libtorch) = kind switch
        {
            "Adam" => ((OptimizerHelper)stab.optim.Adam(mine), (OptimizerHelper)optim.Adam(theirs)),
            "Adam, amsgrad" => (stab.optim.Adam(mine, amsgrad: true), optim.Adam(theirs, amsgrad: true)),
            "AdamW" => (stab.optim.AdamW(mine), optim.AdamW(theirs)),
            "SGD" => (stab.optim.SGD(mine, 0.1), optim.SGD(theirs, 0.1)),
            "SGD, momentum" => (stab.optim.SGD(mine, 0.1, momentum: 0.9), optim.SGD(theirs, 0.1, momentum: 0.9)),
            _ => (stab.optim.RMSprop(mine), optim.RMSProp(theirs)),
        };
        ours.step();
        libtorch.step();
        Assert.InRange(Bytes(ours), 0, Bytes(libtorch));
        ours.Dispose();
        libtorch.Dispose();
    }

    private static long Bytes(OptimizerHelper optimizer) => optimizer.state_dict().State.Sum(state => state.GetType().GetFields()
        .Select(f => f.GetValue(state)).OfType<Tensor>().Sum(t => t.numel() * t.element_size()));

    private static Parameter[] Parameters() => [.. new long[] { 3, 1000 }.Select(n => new Parameter(ones(n)) { grad = ones(n) })];
}

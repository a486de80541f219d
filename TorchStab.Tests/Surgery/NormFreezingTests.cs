using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Surgery;

public class NormFreezingTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Frozen_norms_stay_as_they_are_whatever_the_mode(bool swappedBefore)
    {
        using var scope = NewDisposeScope();
        using var model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.LayerNorm(4));
        if (swappedBefore) stab.nn.utils.swap_norms_(model);
        model.call(randn(6, 3)).sum().backward();
        var report = stab.nn.utils.freeze_norms_(model);
        Assert.Equal(["1", "2"], report.Changes.Select(c => c.Path));
        Assert.All(report.Changes, c => Assert.EndsWith(", frozen", c.To));
        Assert.Empty(stab.nn.utils.freeze_norms_(model).Changes);
        model.train();
        var before = FoldingSamples.Snapshot((nn.Module)model[1], (nn.Module)model[2]);
        using var sgd = optim.SGD(model.parameters(), 0.1, momentum: 0.9, weight_decay: 0.1);
        for (int i = 0; i < 3; i++)
        {
            model.call(randn(6, 3)).square().sum().backward();
            sgd.step();
        }
        foreach (var (tensor, value) in before) Compare.Identical(value, tensor, "a frozen norm");
        var x = randn(6, 4);
        using var reference = nn.BatchNorm1d(4);
        reference.load_state_dict(((nn.Module)model[1]).state_dict());
        reference.eval();
        Compare.Close(reference.call(x), ((nn.Module<Tensor, Tensor>)model[1]).call(x), "frozen, in training mode");
    }

    [Fact]
    public void Thawed_norms_train_as_before()
    {
        using var scope = NewDisposeScope();
        var norm = nn.BatchNorm1d(4);
        norm.bias!.requires_grad = false;
        using var model = nn.Sequential(nn.Linear(3, 4), norm);
        stab.nn.utils.freeze_norms_(model);
        model.eval();
        model.train();
        Assert.False(((nn.Module)model[1]).training);
        stab.nn.utils.unfreeze_norms_(model);
        Assert.True(((nn.Module)model[1]).training);
        Assert.Equal([true, false], ((nn.Module)model[1]).parameters().Select(p => p.requires_grad));
        stab.nn.utils.restore_norms_(model);
        Assert.Same(norm, model[1]);
        Assert.True(norm.training && norm.weight.requires_grad && !norm.bias!.requires_grad);
    }

    [Fact]
    public void Restoring_a_frozen_norm_thaws_it()
    {
        var norm = nn.BatchNorm2d(4);
        using var model = nn.Sequential(norm);
        stab.nn.utils.swap_norms_(model, new SwapOptions { BatchNorm = BatchNormTarget.Frozen });
        Assert.False(norm.weight.requires_grad);
        model.train();
        Assert.False(((nn.Module)model[0]).training);
        stab.nn.utils.restore_norms_(model);
        Assert.True(norm.weight.requires_grad && norm.training);
    }

    [Fact]
    public void What_takes_a_frozen_norms_place_is_frozen()
    {
        var norm = nn.LayerNorm(4);
        using var model = nn.Sequential(norm, stab.nn.BatchNorm1d(4));
        stab.nn.utils.freeze_norms_(model);
        stab.nn.utils.swap_norms_(model);
        Assert.False(norm.weight.requires_grad);
        stab.nn.utils.unfreeze_norms_(model);
        Assert.All(model.parameters(), p => Assert.True(p.requires_grad));
        var report = stab.nn.utils.swap_norms_(model, new SwapOptions { BatchNorm = BatchNormTarget.Frozen });
        Assert.Equal([new ModuleChange("1", "stab.nn.BatchNorm1d", "stab.nn.BatchNorm1d, frozen")], report.Changes);
        model.train();
        Assert.False(((nn.Module)model[1]).training);
    }

    [Fact]
    public void A_filter_chooses()
    {
        using var model = nn.Sequential(("a", nn.BatchNorm2d(3)), ("b", nn.GroupNorm(1, 3)));
        Assert.Equal(["b"], stab.nn.utils.freeze_norms_(model, path => path == "b").Changes.Select(c => c.Path));
        Assert.IsType<BatchNorm2d>(model[0]);
    }
}

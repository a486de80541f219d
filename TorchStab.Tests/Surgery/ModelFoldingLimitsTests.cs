using static TorchSharp.torch;

namespace TorchStab.Tests.Surgery;

/// <summary>Norms that fuse_norms lists instead of folding, and what a folded one hands on.</summary>
public class ModelFoldingLimitsTests
{
    [Fact]
    public void Norms_without_statistics_or_in_training_are_listed()
    {
        using var model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, track_running_stats: false), nn.Linear(3, 3), nn.BatchNorm1d(3));
        model.eval();
        ((nn.Module)model[3]).train();
        stab.nn.utils.fuse_norms(model, out var report);
        Assert.Empty(report.Changes);
        Assert.Equal(["it has no running statistics: what it does depends on its batch", "it is in training mode"], report.Refusals.Select(r => r.Reason));
    }

    [Fact]
    public void A_hook_before_the_norm_stops_folding_and_one_behind_it_goes_on()
    {
        using var scope = NewDisposeScope();
        var (seen, after) = (nn.BatchNorm1d(3), nn.BatchNorm1d(3));
        using var model = nn.Sequential(nn.Linear(2, 3), seen, nn.Linear(3, 3), after);
        int calls = 0;
        seen.register_forward_pre_hook((_, x) => x);
        after.register_forward_hook((_, _, y) => { calls++; return y; });
        model.eval();
        stab.nn.utils.fuse_norms(model, out var report, randn(4, 2));
        Assert.Equal(["3"], report.Changes.Select(c => c.Path));
        Assert.Contains("a hook looks at", report.Refusals.Single().Reason, StringComparison.Ordinal);
        Assert.All(model.modules(), m => Assert.False(m.training));
        int before = calls;
        model.call(randn(4, 2));
        Assert.Equal(before + 1, calls);
    }

    [Fact]
    public void Weight_and_bias_keep_what_each_trained()
    {
        using var scope = NewDisposeScope();
        var linear = nn.Linear(2, 3);
        linear.weight.requires_grad = false;
        using var model = nn.Sequential(linear, nn.BatchNorm1d(3));
        model.eval();
        stab.nn.utils.fuse_norms(model, out var report, randn(4, 2));
        Assert.Single(report.Changes);
        Assert.Equal((false, true), (linear.weight.requires_grad, linear.bias!.requires_grad));
    }

    /// <summary>The table would be folded along with the layer, under whatever handle it holds the weight.</summary>
    [Fact]
    public void A_layer_whose_weight_an_embedding_shares_is_listed()
    {
        using var table = nn.Embedding(3, 2);
        var linear = nn.Linear(2, 3);
        linear.weight = table.weight!;
        using var model = nn.Sequential(("table", table), ("linear", linear), ("norm", nn.BatchNorm1d(3)));
        model.eval();
        stab.nn.utils.fuse_norms(model, out var report);
        Assert.Contains("is used by another layer too", Assert.Single(report.Refusals).Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_norm_exchanged_twice_goes_back_to_the_first()
    {
        var norm = nn.BatchNorm1d(3);
        using var model = nn.Sequential(norm, nn.ReLU());
        stab.nn.utils.swap_norms_(model);
        stab.nn.utils.swap_norms_(model, new SwapOptions { FuseReLU = true });
        Assert.IsType<TorchStab.Modules.BatchNormReLU1d>(model[0]);
        stab.nn.utils.restore_norms_(model);
        Assert.Same(norm, model[0]);
    }
}

using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Tests.Surgery;

/// <summary>convert_sync_batchnorm_ on models with norms of both libraries.</summary>
public class SyncBatchNormConversionTests
{
    [Fact]
    public void Norms_of_both_libraries_hand_over_their_tensors_mode_and_arguments()
    {
        using var model = nn.Sequential(("a", nn.BatchNorm1d(3, 1e-3, 0.2)),
            ("b", nn.Sequential(("c", stab.nn.BatchNorm1d(3, affine: false)))), ("d", nn.ReLU()));
        model.eval();
        var (keys, weight) = (model.state_dict().Keys.ToList(), model.named_parameters().First().parameter);
        var report = stab.nn.utils.convert_sync_batchnorm_(model);
        Assert.Equal([("a", "torch.nn.BatchNorm1d", "stab.nn.SyncBatchNorm"), ("b.c", "stab.nn.BatchNorm1d", "stab.nn.SyncBatchNorm")],
            report.Changes.Select(c => (c.Path, c.From, c.To)));
        Assert.Equal(keys, model.state_dict().Keys);
        Assert.Same(weight, model.named_parameters().First().parameter);
        var first = Assert.IsType<SyncBatchNorm>(model.children().First());
        Assert.Equal((1e-3, 0.2, false), (first.eps, first.momentum, first.training));
        Assert.Empty(stab.nn.utils.convert_sync_batchnorm_(model).Changes);
        stab.nn.utils.restore_norms_(model);
        Assert.IsType<TorchSharp.Modules.BatchNorm1d>(model.children().First());
    }

    [Fact]
    public void A_norm_that_has_to_stay_is_an_error_and_nothing_is_changed()
    {
        using var fused = nn.Sequential(nn.BatchNorm1d(3), stab.nn.BatchNormReLU1d(3));
        Assert.Contains("1  stab.nn.BatchNormReLU1d: it is more than a BatchNorm",
            Assert.Throws<InvalidOperationException>(() => stab.nn.utils.convert_sync_batchnorm_(fused)).Message);
        Assert.IsType<TorchSharp.Modules.BatchNorm1d>(fused.children().First());
        using var typed = new Typed();
        Assert.Contains("can only hold a", Assert.Throws<InvalidOperationException>(() => stab.nn.utils.convert_sync_batchnorm_(typed)).Message);
        Assert.Throws<ArgumentException>(() => stab.nn.utils.convert_sync_batchnorm_(nn.BatchNorm2d(3)));
    }

    private sealed class Typed : nn.Module<Tensor, Tensor>
    {
        private readonly TorchSharp.Modules.BatchNorm1d _norm = nn.BatchNorm1d(3);

        public Typed() : base(nameof(Typed)) => RegisterComponents();

        public override Tensor forward(Tensor input) => _norm.call(input);
    }
}

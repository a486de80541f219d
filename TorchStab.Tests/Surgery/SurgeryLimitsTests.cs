using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Surgery;

/// <summary>Settings that changed meanwhile, masks, and arguments that surgery refuses by name before it changes anything.</summary>
public class SurgeryLimitsTests
{
    [Fact]
    public void Settings_changed_on_the_twin_go_back_to_the_original()
    {
        var (batch, instance, layer, group) = (nn.BatchNorm1d(4), nn.InstanceNorm1d(4), nn.LayerNorm(4), nn.GroupNorm(2, 4));
        using var model = nn.Sequential(batch, instance, layer, group);
        stab.nn.utils.swap_norms_(model);
        var (b, i) = ((TorchStab.Modules.BatchNorm1d)model[0], (TorchStab.Modules.InstanceNorm1d)model[1]);
        (b.eps, b.momentum, i.eps, i.momentum) = (1e-3, 0.25, 2e-3, 0.5);
        ((TorchStab.Modules.LayerNorm)model[2]).eps = 3e-3;
        ((TorchStab.Modules.GroupNorm)model[3]).eps = 4e-3;
        stab.nn.utils.restore_norms_(model);
        Assert.Equal((1e-3, 0.25), (batch.eps, batch.momentum));
        Assert.Equal((2e-3, 0.5), (instance.eps, instance.momentum));
        Assert.Equal((3e-3, 4e-3), (layer.eps, group.eps));
    }

    [Fact]
    public void Missing_arguments_are_named()
    {
        using var model = nn.Sequential(nn.Linear(2, 2));
        using var linear = nn.Linear(2, 2);
        using var norm = nn.BatchNorm1d(2);
        Named("model", () => stab.nn.utils.swap_norms_(null!));
        Named("model", () => stab.nn.utils.restore_norms_(null!));
        Named("model", () => stab.nn.utils.freeze_norms_(null!));
        Named("model", () => stab.nn.utils.unfreeze_norms_(null!));
        Named("model", () => stab.nn.utils.convert_sync_batchnorm_(null!));
        Named("model", () => stab.nn.utils.fuse_norms<nn.Module>(null!));
        Named("conv", () => stab.nn.utils.fuse_conv_bn_eval<Conv2d>(null!, norm));
        Named("linear", () => stab.nn.utils.fuse_linear_bn_eval(null!, norm));
        Named("bn", () => stab.nn.utils.fuse_linear_bn_eval(linear, null!));
        Named("loader", () => stab.nn.utils.update_bn(model, (IEnumerable<Tensor>)null!));
    }

    [Fact]
    public void A_model_that_is_a_norm_itself_is_refused_everywhere()
    {
        using var norm = nn.BatchNorm1d(2);
        norm.eval();
        foreach (Action call in new Action[]
        {
            () => stab.nn.utils.freeze_norms_(norm), () => stab.nn.utils.fuse_norms(norm), () => stab.nn.utils.update_bn(norm, [ones(4, 2)]),
            () => stab.nn.utils.convert_sync_batchnorm_(norm),
        }) Assert.Contains("the model is itself a torch.nn.BatchNorm1d", Assert.Throws<ArgumentException>("model", call).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => BatchNormTarget.GroupNorm(0));
        Assert.NotNull(BatchNormTarget.GroupNorm(1));
    }

    [Fact]
    public void A_norm_that_ends_in_a_ReLU_and_layers_in_training_are_refused()
    {
        using var linear = nn.Linear(2, 3);
        using var conv = nn.Conv1d(2, 3, 1);
        using var relu = stab.nn.BatchNormReLU1d(3);
        using var norm = nn.BatchNorm1d(3);
        foreach (var m in (nn.Module[])[linear, conv, relu, norm]) m.eval();
        Assert.Contains("ends in a ReLU", Assert.Throws<ArgumentException>("bn", () => stab.nn.utils.fuse_linear_bn_eval(linear, relu)).Message,
            StringComparison.Ordinal);
        linear.train();
        Assert.Contains("Fusion only for eval!", Assert.Throws<InvalidOperationException>(() => stab.nn.utils.fuse_linear_bn_eval(linear, norm)).Message,
            StringComparison.Ordinal);
        linear.eval();
        norm.train();
        Assert.Throws<InvalidOperationException>(() => stab.nn.utils.fuse_linear_bn_eval(linear, norm));
        norm.eval();
        using var fused = stab.nn.utils.fuse_linear_bn_eval(linear, norm);
        Assert.False(fused.training);
        linear.Dispose();
        Assert.Throws<ObjectDisposedException>(() => stab.nn.utils.fuse_linear_bn_eval(linear, norm));
    }

    [Fact]
    public void One_channel_of_statistics_folds_into_a_linear_layer_of_any_width()
    {
        using var scope = NewDisposeScope();
        using var linear = nn.Linear(2, 3);
        using var norm = nn.BatchNorm1d(1);
        using (no_grad())
        {
            norm.running_mean!.fill_(2);
            norm.running_var!.fill_(4);
        }
        linear.eval();
        norm.eval();
        var x = randn(5, 2);
        using var fused = stab.nn.utils.fuse_linear_bn_eval(linear, norm);
        Compare.Close((linear.call(x) - 2) / Math.Sqrt(4 + 1e-5), fused.call(x), "fused");
        using var conv = nn.Conv1d(2, 3, 1);
        conv.eval();
        Assert.Throws<ArgumentException>("bn", () => stab.nn.utils.fuse_conv_bn_eval(conv, norm));
    }

    [Fact]
    public void Updating_counts_only_what_the_mask_keeps()
    {
        using var scope = NewDisposeScope();
        using var model = new Masked();
        var (x, mask) = (randn(6, 3, 5, ScalarType.Float64), ones(6, 1, 5, ScalarType.Bool));
        mask[2, 0, 3] = false;
        mask[4] = false;
        model.Mask = mask;
        x.masked_fill_(mask.logical_not(), double.NaN); // padding may hold anything
        Assert.Equal(["norm"], stab.nn.utils.update_bn(model, [x]));
        var kept = x.transpose(0, 1).flatten(1).index_select(1, mask.flatten().nonzero().flatten());
        Compare.Close(kept.mean([1]), model.Norm.running_mean, "mean");
        Compare.Close(kept.var([1], unbiased: true), model.Norm.running_var, "variance");
    }

    [Fact]
    public void A_frozen_norm_is_not_updated_and_one_value_is_no_variance()
    {
        using var scope = NewDisposeScope();
        using var model = nn.Sequential(("a", nn.BatchNorm1d(2)), ("b", stab.nn.BatchNorm1d(2)));
        stab.nn.utils.freeze_norms_(model, path => path == "a");
        Assert.Equal(["b"], stab.nn.utils.update_bn(model, [randn(4, 2), randn(5, 2)]));
        Assert.Equal(2, ((TorchStab.Modules.BatchNorm1d)model[1]).num_batches_tracked!.item<long>());
        Assert.Equal(0, ((TorchStab.Modules.BatchNorm1d)model[0]).num_batches_tracked!.item<long>());
        Assert.False(((nn.Module)model[0]).training);
        Assert.True(((nn.Module)model[1]).training);
        var error = Assert.Throws<InvalidOperationException>(() => stab.nn.utils.update_bn(model, [randn(1, 2)]));
        Assert.Contains("'b' got one value per channel", error.Message, StringComparison.Ordinal);
        Assert.Contains("null instead of a batch", Assert.Throws<InvalidOperationException>(() => stab.nn.utils.update_bn(model, [null!])).Message,
            StringComparison.Ordinal);
        using var none = nn.Sequential(nn.Linear(2, 2));
        Assert.Empty(stab.nn.utils.update_bn(none, [randn(1, 2)]));
    }

    private static void Named(string argument, Action call) => Assert.Equal(argument, Assert.Throws<ArgumentNullException>(call).ParamName);

    private sealed class Masked : nn.Module<Tensor, Tensor>
    {
        public readonly TorchStab.Modules.BatchNorm1d Norm = stab.nn.BatchNorm1d(3, dtype: ScalarType.Float64);

        public Masked() : base(nameof(Masked)) => register_module("norm", Norm);

        public Tensor? Mask { get; set; }

        public override Tensor forward(Tensor input) => Norm.forward(input, Mask);
    }
}

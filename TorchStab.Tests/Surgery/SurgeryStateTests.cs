using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Surgery;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Surgery;

/// <summary>What swaps, freezing and update_bn leave behind: modes, counters, settings, the way back; and what folding leaves alone.</summary>
public class SurgeryStateTests
{
    private sealed class Pair(nn.Module<Tensor, Tensor> inner) : nn.Module<Tensor, Tensor, Tensor>(nameof(Pair))
    {
        public Pair Registered()
        {
            register_module("inner", inner);
            return this;
        }

        public override Tensor forward(Tensor x, Tensor y) => inner.call(x) + y;
    }

    private sealed class Direct : nn.Module<Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> norm = nn.BatchNorm1d(3);

        public Direct() : base(nameof(Direct)) => RegisterComponents();

        public override Tensor forward(Tensor x) => norm.forward(x);
    }

    private sealed class Nested : nn.Module<Tensor, Tensor>
    {
        private readonly ((nn.Module<Tensor, Tensor> norm, int count) inner, string name) tuple = ((nn.BatchNorm2d(3), 1), "n");
        private readonly Lazy<nn.Module<Tensor, Tensor>> late = new(() => nn.BatchNorm2d(3));
        private readonly Dictionary<nn.Module, string> names;
        private readonly nn.Module<Tensor, Tensor> key = nn.BatchNorm2d(3);

        public Nested() : base(nameof(Nested))
        {
            names = new() { [key] = "key" };
            register_module("tuple", tuple.inner.norm);
            register_module("late", late.Value);
            register_module("key", key);
        }

        public int Known => names.Count(p => ReferenceEquals(p.Key, key));

        public override Tensor forward(Tensor x) => tuple.inner.norm.call(late.Value.call(x));
    }

    [Fact]
    public void Updating_reads_the_data_once_a_norm_and_keeps_each_modules_mode()
    {
        using var scope = NewDisposeScope();
        using var model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2), nn.BatchNorm1d(2));
        stab.nn.utils.swap_norms_(model);
        ((nn.Module)model[0]).eval();
        var (reads, x) = (0, randn(6, 3));
        IEnumerable<Tensor> Count()
        {
            reads++;
            yield return x;
        }
        stab.nn.utils.update_bn(model, Count());
        Assert.Equal(2, reads);
        Assert.Equal([false, true, true], model.children().Select(m => m.training));
        Assert.All(model.children().OfType<TorchStab.Modules.BatchNorm1d>(), n => Assert.Null(n.InputObserver));
        Assert.Equal("forward", Assert.Throws<ArgumentNullException>(() => stab.nn.utils.update_bn(model, [x], null!)).ParamName);
        LiveTensors.AssertNoneLeft(() => stab.nn.utils.update_bn(model, [x, x]));
    }

    [Fact]
    public void Updating_sees_a_norm_through_forward_where_its_twin_fits()
    {
        using var scope = NewDisposeScope();
        using var model = new Direct();
        var x = randn(6, 3);
        Assert.Equal(["norm"], stab.nn.utils.update_bn(model, [x]));
        Compare.Close(x.mean([0]), model.get_buffer("norm.running_mean"), "mean");
    }

    [Fact]
    public void Nested_structs_and_lazy_values_are_places_and_keys_are_not()
    {
        using var scope = NewDisposeScope();
        using var model = new Nested();
        var report = stab.nn.utils.swap_norms_(model);
        Assert.Equal(["tuple", "late"], report.Changes.Select(c => c.Path));
        Assert.Contains("key of a hash table", report.Refusals.Single().Reason, StringComparison.Ordinal);
        Assert.Equal(1, model.Known);
        var seen = new List<string>();
        foreach (var (name, module) in model.named_modules())
            // the old module has the same hooks
            ((nn.Module<Tensor, Tensor>)module).register_forward_pre_hook((m, x) => { seen.Add(m.GetType().Namespace + name); return x; });
        model.forward(randn(2, 3, 4, 4));
        Assert.Equal(["TorchStab.Moduleslate", "TorchStab.Modulestuple"], seen);
    }

    [Fact]
    public void A_write_that_fails_takes_the_others_back()
    {
        using var model = nn.Sequential(nn.BatchNorm2d(3));
        using var other = nn.ReLU();
        var plan = new SurgeryPlan(model);
        var norm = (nn.Module)model[0];
        var (good, bad) = (new nn.Module[] { norm }, new BatchNorm2d[1]);
        Slot[] slots = [new(good, 0, [], typeof(nn.Module), model, null), new(bad, 0, [], typeof(nn.Module), model, null)];
        Assert.True(plan.TryReplace(plan.Nodes[1], slots, typeof(ReLU), "ReLU", () => other));
        Assert.ThrowsAny<Exception>(() => plan.Commit((_, _) => Assert.Fail("committed")));
        Assert.Same(norm, good[0]);
    }

    [Fact]
    public void Settings_go_over_and_nothing_is_restored_or_frozen_twice()
    {
        nn.Module<Tensor, Tensor>[] norms =
            [nn.InstanceNorm1d(4, momentum: 0.3), nn.InstanceNorm2d(4, momentum: 0.3), nn.InstanceNorm3d(4, momentum: 0.3), nn.GroupNorm(2, 4)];
        using var model = nn.Sequential(norms);
        stab.nn.utils.swap_norms_(model, new SwapOptions { RequireAll = true });
        Assert.All(model.children().OfType<TorchStab.Modules.NormBase>(), n => Assert.Equal(0.3, n.momentum));
        Assert.Equal(4, ((TorchStab.Modules.GroupNorm)model[3]).num_channels);
        var twin = (nn.Module<Tensor, Tensor>)model[3];
        stab.nn.utils.restore_norms_(model);
        using var elsewhere = nn.Sequential(twin);
        Assert.Empty(stab.nn.utils.restore_norms_(elsewhere).Changes);
        foreach (Action call in new Action[] { () => stab.nn.utils.freeze_norms_(model, p => p == "3"), () => stab.nn.utils.swap_norms_(model),
            () => stab.nn.utils.restore_norms_(model) }) call();
        Assert.Contains("3", stab.nn.utils.freeze_norms_(model).Changes.Select(c => c.Path));
    }

    [Fact]
    public void Only_BatchNorms_are_frozen_by_a_swap_to_frozen_ones()
    {
        using var model = nn.Sequential(stab.nn.InstanceNorm1d(4, affine: true, track_running_stats: true), stab.nn.BatchNorm1d(4), stab.nn.LayerNorm(4));
        Assert.Equal(["1"], stab.nn.utils.swap_norms_(model, new SwapOptions { BatchNorm = BatchNormTarget.Frozen }).Changes.Select(c => c.Path));
        Assert.Equal([true, false, true], model.children().Select(m => m.parameters().All(p => p.requires_grad)));
        Assert.Empty(stab.nn.utils.swap_norms_(model, new SwapOptions { BatchNorm = BatchNormTarget.Frozen }).Changes);
    }

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float16)]
    public void The_counter_comes_back_through_a_change_of_dtype(ScalarType dtype)
    {
        using var norm = nn.BatchNorm1d(4, dtype: dtype);
        using var model = nn.Sequential(norm);
        stab.nn.utils.swap_norms_(model);
        model.to(ScalarType.Float64);
        using (no_grad()) ((TorchStab.Modules.BatchNorm1d)model[0]).num_batches_tracked!.fill_(7);
        stab.nn.utils.restore_norms_(model);
        Assert.Same(norm, model[0]);
        Assert.Equal(7, (double)norm.get_buffer("num_batches_tracked")!.to(ScalarType.Float64));
    }

    [Fact]
    public void Layers_that_share_a_weight_are_not_folded()
    {
        using var scope = NewDisposeScope();
        var (a, b) = (nn.Linear(3, 3), nn.Linear(3, 3));
        b.weight = a.weight;
        using var model = nn.Sequential(a, nn.BatchNorm1d(3), b);
        model.eval();
        stab.nn.utils.fuse_norms(model, out var report, randn(2, 3));
        Assert.Contains("is used by another layer too", report.Refusals.Single().Reason, StringComparison.Ordinal);
        Assert.Same(a.weight, b.weight);
    }

    [Fact]
    public void A_model_of_two_inputs_is_folded_without_an_example()
    {
        using var scope = NewDisposeScope();
        using var model = new Pair(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))).Registered();
        model.eval();
        var (x, y) = (randn(4, 3, 2, 2), randn(4, 3, 2, 2));
        var expected = model.call(x, y);
        Assert.Throws<ArgumentException>("example", () => stab.nn.utils.fuse_norms(model, x));
        stab.nn.utils.fuse_norms(model, out var report);
        Assert.Equal(["inner.1"], report.Changes.Select(c => c.Path));
        Compare.Close(expected, model.call(x, y), "folded");
    }

    [Fact]
    public void Disposed_parts_and_wrong_kinds_are_named()
    {
        using var linear = nn.Linear(3, 3);
        using var relu = nn.ReLU();
        var norm = nn.BatchNorm1d(3);
        foreach (var m in (nn.Module[])[linear, norm, relu]) m.eval();
        Assert.Contains("expected a BatchNorm", Assert.Throws<ArgumentException>("bn", () => stab.nn.utils.fuse_linear_bn_eval(linear, relu)).Message,
            StringComparison.Ordinal);
        norm.Dispose();
        Assert.Contains("build the model anew", Assert.Throws<ObjectDisposedException>(() => stab.nn.utils.fuse_linear_bn_eval(linear, norm)).Message,
            StringComparison.Ordinal);
        var gone = nn.Dropout();
        using var model = nn.Sequential(nn.BatchNorm1d(3), gone);
        gone.Dispose();
        Assert.Contains("'1' (Dropout)", Assert.Throws<ObjectDisposedException>(() => stab.nn.utils.swap_norms_(model)).Message, StringComparison.Ordinal);
        var root = nn.Sequential(nn.BatchNorm1d(3));
        root.Dispose();
        Assert.Contains("the module", Assert.Throws<ObjectDisposedException>(() => stab.nn.utils.swap_norms_(root)).Message, StringComparison.Ordinal);
    }
}

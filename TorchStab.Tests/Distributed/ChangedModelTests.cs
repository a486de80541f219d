using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchStab.Tests.Distributed.Shards;

namespace TorchStab.Tests.Distributed;

/// <summary>
/// A wrapped model that changes between steps, and gradients that are not what the parameters are: ranks stay the same, or all raise an error.
/// </summary>
public class ChangedModelTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_layer_unfrozen_after_wrapping_trains_as_in_one_process(bool shared)
    {
        using var scope = NewDisposeScope();
        var data = Data();
        using var whole = Network(1, norms: false);
        Train(whole, whole, data, [6], 0);
        OnRanks([4, 2], rank =>
        {
            using var model = Network(1, norms: false);
            using var ddp = stab.nn.DistributedDataParallel(model);
            Train(ddp, model, data, [4, 2], rank);
            ddp.require_identical();
            foreach (var (expected, actual) in whole.parameters().Zip(model.parameters()))
                Compare.Close(expected, actual, "parameter", Tolerance.TrainedFloat64);
        }, shared);

        static void Train(nn.Module<Tensor, Tensor> model, Sequential layers, List<(Tensor X, Tensor Y)> data, long[] split, int rank)
        {
            SetTrained(layers, "first", false);
            using var optimizer = stab.optim.SGD(model.parameters(), 0.1, momentum: 0.9);
            foreach (var (step, (x, y)) in data.Index())
            {
                if (step == 2) SetTrained(layers, "first", true);
                if (step == 3) SetTrained(layers, "last", false);
                Step(model, optimizer, Part(x, split, rank), Part(y, split, rank));
            }
        }
    }

    [Fact]
    public void A_layer_appended_or_exchanged_after_wrapping_takes_rank_0s_values()
    {
        OnRanks([3, 3], rank =>
        {
            using var model = Network(1, norms: false);
            using var ddp = stab.nn.DistributedDataParallel(model);
            using var optimizer = stab.optim.SGD(ddp.parameters(), 0.1);
            foreach (var (step, (x, y)) in Data().Index())
            {
                if (step is 1 or 2) optimizer.add_param_group(new TorchStab.Modules.SGD.ParamGroup(Append(model, step == 1 ? "head" : "norm",
                    rank, norm: step == 2)));
                Step(ddp, optimizer, Part(x, [3, 3], rank), Part(y, [3, 3], rank));
                ddp.require_identical();
            }
            Assert.All(model.parameters(), p => Assert.NotNull(p.grad));
        });

        // Another start on each rank.
        static IEnumerable<Parameter> Append(Sequential model, string name, int rank, bool norm)
        {
            nn.Module<Tensor, Tensor> layer = norm ? stab.nn.LayerNorm(3, dtype: ScalarType.Float64) : nn.Linear(3, 3, dtype: ScalarType.Float64);
            using (no_grad())
                foreach (var (i, p) in layer.parameters().Index()) p.copy_((arange(p.numel(), ScalarType.Float64) + rank + i).sin().view(p.shape));
            model.append(name, layer);
            return layer.parameters();
        }
    }

    [Fact]
    public void Ranks_that_change_differently_are_an_error_on_all()
    {
        foreach (bool unfreeze in new[] { true, false })
            OnRanks([1, 1], rank =>
            {
                using var model = Network(1, norms: false);
                SetTrained(model, "first", !unfreeze);
                using var ddp = stab.nn.DistributedDataParallel(model);
                if (rank == 1 && unfreeze) SetTrained(model, "first", true);
                if (rank == 1 && !unfreeze) model.append("layer", nn.Linear(3, 3, dtype: ScalarType.Float64));
                var e = Assert.Throws<InvalidOperationException>(() => ddp.call(ones(1, 4, ScalarType.Float64)));
                Assert.Contains("freeze, unfreeze or exchange the same layers between the same steps", e.Message, StringComparison.Ordinal);
            });
    }

    [Fact]
    public void A_model_that_is_called_directly_refuses_new_layers_of_other_values()
    {
        OnRanks([1, 1], rank =>
        {
            using var model = Network(1, norms: false);
            using var ddp = stab.nn.DistributedDataParallel(model);
            var layer = nn.Linear(3, 3, dtype: ScalarType.Float64);
            foreach (var p in layer.parameters()) stab.nn.init.constant_(p, rank);
            model.append("head", layer);
            Assert.Contains("head.weight is not the same on rank 1 as on rank 0; layers that are added to a wrapped model",
                Assert.Throws<InvalidOperationException>(() => ddp.weigh(model.call(ones(1, 4, ScalarType.Float64)), 1)).Message, StringComparison.Ordinal);
            foreach (var p in layer.parameters()) stab.nn.init.constant_(p, 1);
            ddp.weigh(model.call(ones(1, 4, ScalarType.Float64)), 1).sum().backward();
            ddp.average_gradients();
            Assert.Equal(1, layer.bias!.grad![0].item<double>());
        });
    }

    /// <summary>Set by hand, on one rank: what is summed is the parameter's dtype, on every rank the same bits.</summary>
    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    public void A_gradient_of_another_dtype_than_its_parameter_is_converted(bool shared, bool views)
    {
        var all = new[] { ScalarType.Float32, ScalarType.Float64, ScalarType.BFloat16, ScalarType.Float16 };
        foreach (var own in all)
            foreach (var other in all)
                OnRanks([1, 1, 1], rank =>
                {
                    using var model = nn.Sequential(nn.Linear(7, 5, dtype: own), nn.Linear(3, 2, dtype: own));
                    using var ddp = stab.nn.DistributedDataParallel(model, gradient_as_bucket_view: views);
                    ddp.weigh(zeros(1), 1).Dispose();
                    foreach (var p in model.parameters()) p.grad = full(p.shape, 1.0 / 3, rank == 1 ? other : own);
                    ddp.average_gradients();
                    foreach (var p in model.parameters())
                    {
                        Assert.Equal(own, p.grad!.dtype);
                        var sums = stab.distributed.all_gather(p.grad.detach().to(ScalarType.Float64));
                        foreach (var sum in sums) Compare.Identical(sums[0], sum, $"{other} for {own}");
                        Compare.Close(ones(p.shape, ScalarType.Float64), sums[0], $"{other} for {own}", 1.0 / 64);
                    }
                }, shared);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_gradient_of_another_shape_or_a_complex_one_is_refused(bool shared)
    {
        foreach (bool complex in new[] { true, false })
            Assert.Contains("sums real gradients of the parameter's shape, here [2, 3]", Assert.Throws<InvalidOperationException>(() => OnRanks([1, 1], rank =>
            {
                using var model = nn.Linear(3, 2, hasBias: false);
                using var ddp = stab.nn.DistributedDataParallel(model);
                ddp.weigh(zeros(1), 1).Dispose();
                model.weight!.grad = rank == 0 ? ones(2, 3) : complex ? ones(2, 3, ScalarType.ComplexFloat32) : ones(3, 2);
                ddp.average_gradients();
            }, shared)).Message, StringComparison.Ordinal);
    }

    private static void SetTrained(Sequential model, string layer, bool trained)
    {
        foreach (var p in model.named_children().First(c => c.name == layer).module.parameters()) p.requires_grad = trained;
    }
}

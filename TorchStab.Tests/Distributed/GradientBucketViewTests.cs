using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Dispatch;
using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchStab.Tests.Distributed.Shards;

namespace TorchStab.Tests.Distributed;

/// <summary>gradient_as_bucket_view: gradients that lie in the messages they are summed in.</summary>
public class GradientBucketViewTests
{
    private static readonly Action<DistributedDataParallel, optim.Optimizer>[] Clearings =
    [
        (ddp, _) => ddp.zero_grad(), (ddp, _) => ddp.zero_grad(set_to_none: false), (ddp, _) => ddp.module.zero_grad(set_to_none: false),
        (_, optimizer) => optimizer.zero_grad(),
        // the others are cleared below
        (_, optimizer) => ((TorchStab.Modules.Adam)optimizer).zero_grad(set_to_none: false), (ddp, _) => ddp.parameters().First().grad = null,
    ];

    [Theory]
    [InlineData(1)]
    [InlineData(0.001)]
    [InlineData(1e-6)]
    public void However_gradients_are_cleared_it_trains_as_one_process_does(double bucket)
    {
        foreach (var (way, clear) in Clearings.Index())
        {
            using var scope = NewDisposeScope();
            var data = Data();
            using var whole = Network(1, false);
            using var alone = stab.optim.Adam(whole.named_parameters(), 0.01, global_clipnorm: 0.05);
            foreach (var (x, y) in data) Step(whole, alone, x, y);
            OnRanks([5, 1], rank =>
            {
                using var ddp = stab.nn.DistributedDataParallel(Network(1, false), bucket, gradient_as_bucket_view: true);
                using var optimizer = stab.optim.Adam(ddp.named_parameters(), 0.01, global_clipnorm: 0.05);
                foreach (var (x, y) in data)
                {
                    clear(ddp, optimizer);
                    if (way == Clearings.Length - 1) ddp.zero_grad(set_to_none: false);
                    Loss(ddp, Part(x, [5, 1], rank), Part(y, [5, 1], rank)).backward();
                    optimizer.step();
                }
                ddp.require_identical();
                foreach (var ((name, expected), (_, actual)) in whole.named_parameters().Zip(ddp.named_parameters()))
                    Compare.Close(expected, actual, $"{name}, cleared in way {way}", Tolerance.TrainedFloat64);
            });
        }
    }

    [Fact]
    public void Gradients_stay_where_they_are_summed_as_long_as_they_are_cleared_to_zero()
    {
        OnRanks([2, 2], rank =>
        {
            using var ddp = stab.nn.DistributedDataParallel(Network(1, false), gradient_as_bucket_view: true);
            Assert.True(ddp.gradient_as_bucket_view);
            var first = ParameterIndices(ddp);
            Assert.All(first.Zip(first.Skip(1), ddp.parameters()), t => Assert.Equal(t.Third.numel() * sizeof(double), t.Second - t.First)); // side by side
            ddp.zero_grad(set_to_none: false);
            Assert.All(ddp.parameters(), p => Assert.Equal(0, p.grad!.abs().max().item<double>()));
            Assert.Equal(first, ParameterIndices(ddp));
            ddp.zero_grad();
            Assert.Equal(first, ParameterIndices(ddp)); // copied there once more
            ddp.zero_grad(set_to_none: false);
            foreach (var p in ddp.parameters()) p.grad = p.grad!.t().contiguous().t();
            Assert.Equal(first, ParameterIndices(ddp));
        });
    }

    [Fact]
    public void Passes_under_no_sync_add_to_the_views()
    {
        using var scope = NewDisposeScope();
        var data = Data();
        using var whole = Network(1, false);
        foreach (var (x, y) in data) Loss(whole, x, y).backward();
        OnRanks([5, 1], rank =>
        {
            using var ddp = stab.nn.DistributedDataParallel(Network(1, false), gradient_as_bucket_view: true);
            var places = ParameterIndices(ddp);
            ddp.zero_grad(set_to_none: false);
            foreach (var (i, (x, y)) in data.Index())
            {
                using var pause = i < Steps - 1 ? ddp.no_sync() : null;
                Loss(ddp, Part(x, [5, 1], rank), Part(y, [5, 1], rank)).backward();
                ddp.average_gradients();
            }
            foreach (var (expected, actual) in whole.parameters().Zip(ddp.parameters()))
                Compare.Close(expected.grad, actual.grad, "gradient", Tolerance.Accumulation);
            Assert.Equal(places, Addresses(ddp));
        });
    }

    [Fact]
    public void A_NaN_in_a_view_is_found_where_it_was()
    {
        OnRanks([2, 2, 2], rank =>
        {
            using var ddp = stab.nn.DistributedDataParallel(Network(1, false), gradient_as_bucket_view: true);
            using var optimizer = stab.optim.Adam(ddp.named_parameters(), 0.01);
            ParameterIndices(ddp);
            for (int step = 0; step < 2; step++)
            {
                optimizer.zero_grad(set_to_none: false);
                Loss(ddp, ones(2, 4, ScalarType.Float64), ones(2, 3, ScalarType.Float64)).backward();
                if (rank == 1 && step == 0) ddp.parameters().ElementAt(1).grad!.fill_(double.NaN);
                optimizer.step();
                Assert.Equal(step == 0 ? ("module.first.bias", 1) : (null, (int?)null),
                    (optimizer.LastStep.FirstNonFinite, optimizer.LastStep.FirstNonFiniteRank));
            }
        });
    }

    [Fact]
    public void A_parameter_without_gradient_has_none_afterwards_and_one_that_another_rank_uses_has()
    {
        OnRanks([1, 1], rank =>
        {
            using var model = nn.Sequential(("used", nn.Linear(2, 1)), ("idle", nn.Linear(1, 1)));
            using var ddp = stab.nn.DistributedDataParallel(model, gradient_as_bucket_view: true);
            var used = ((Linear)model.children().First()).weight!;
            for (int i = 0; i < 3; i++)
            {
                ddp.zero_grad(set_to_none: i < 2);
                ddp.weigh(rank == 0 ? used.sum() : zeros(1, requires_grad: true).sum(), 1).backward();
                ddp.average_gradients();
                Assert.True(used.grad!.eq(0.5).all().item<bool>());
                Assert.Null(model.parameters().Last().grad);
            }
        });
    }

    [Fact]
    public void Half_types_are_summed_in_float32_and_so_are_no_views()
    {
        OnRanks([1, 1], rank =>
        {
            using var ddp = stab.nn.DistributedDataParallel(nn.Linear(3, 2, dtype: ScalarType.BFloat16), gradient_as_bucket_view: true);
            ddp.weigh(zeros(1), 1).Dispose();
            foreach (var p in ddp.parameters()) p.grad = Increasing(p, rank, p.dtype);
            var before = Addresses(ddp);
            ddp.average_gradients();
            Assert.Equal(before, Addresses(ddp));
            foreach (var p in ddp.parameters()) Compare.Identical(Increasing(p, 0, p.dtype) + Increasing(p, 1, p.dtype), p.grad!, "gradient");
        });
    }

    [Fact]
    public void A_moved_model_gets_new_views_and_a_disposed_one_leaves_its_gradients_whole()
    {
        OnRanks([2, 2], rank =>
        {
            var model = Network(1, false);
            var ddp = stab.nn.DistributedDataParallel(model, gradient_as_bucket_view: true);
            ParameterIndices(ddp);
            ddp.to(ScalarType.Float32);
            ddp.zero_grad();
            Loss(ddp, ones(2, 4) * (rank + 1), ones(2, 3)).backward();
            ddp.average_gradients();
            var gradients = ddp.parameters().Select(p => p.grad!).ToList();
            var values = gradients.ConvertAll(g => g.clone());
            ddp.Dispose();
            foreach (var (before, after) in values.Zip(gradients)) Compare.Identical(before, after, "gradient");
        });
    }

    [Fact]
    public void Nothing_is_left_alive()
    {
        LiveTensors.AssertNoneLeft(() => InProcessCollective.Run(2, _ =>
        {
            using var model = Network(1, false);
            using var ddp = stab.nn.DistributedDataParallel(model, gradient_as_bucket_view: true);
            for (int i = 0; i < 3; i++)
            {
                ddp.zero_grad(set_to_none: i == 2);
                ParameterIndices(ddp);
            }
            ddp.zero_grad();
        }), parameters: 8);
    }

    // Where the gradients lie after another pass and sum.
    private static List<long> ParameterIndices(DistributedDataParallel ddp)
    {
        using var scope = NewDisposeScope();
        Loss(ddp, ones(2, 4, ScalarType.Float64), ones(2, 3, ScalarType.Float64)).backward();
        ddp.average_gradients();
        return Addresses(ddp);
    }

    private static unsafe List<long> Addresses(DistributedDataParallel ddp) => [.. ddp.parameters().Select(p =>
    {
        using var gradient = p.grad!;
        return (long)TensorMemory.At(gradient.Handle);
    })];
}

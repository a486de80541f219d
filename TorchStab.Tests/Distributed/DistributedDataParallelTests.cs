using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchStab.Tests.Distributed.Shards;

namespace TorchStab.Tests.Distributed;

/// <summary>A network trained by several ranks against the same network trained by one process on whole batches.</summary>
public class DistributedDataParallelTests
{
    [Theory]
    [InlineData(false, 0.001, false)]
    [InlineData(true, 0.001, false)]
    [InlineData(true, 1, false)]
    [InlineData(true, 1, true)]
    public void Any_split_trains_as_one_process_does(bool norms, double bucket, bool shared)
    {
        foreach (long[] split in Splits)
        {
            using var scope = NewDisposeScope();
            var data = Data();
            using var whole = Network(1, norms);
            using var alone = stab.optim.Adam(whole.named_parameters(), 0.01, global_clipnorm: 0.05);
            foreach (var (x, y) in data) Step(whole, alone, x, y);
            OnRanks(split, rank =>
            {
                using var model = Network(seed: 2 + rank, norms); // another start, which the broadcast replaces
                if (rank == 0) Copy(Network(1, norms), model);
                if (norms) stab.nn.utils.convert_sync_batchnorm_(model);
                using var ddp = stab.nn.DistributedDataParallel(model, bucket);
                using var optimizer = stab.optim.Adam(ddp.named_parameters(), 0.01, global_clipnorm: 0.05);
                foreach (var (x, y) in data)
                {
                    Step(ddp, optimizer, Part(x, split, rank), Part(y, split, rank));
                    Assert.True(optimizer.LastStep.Clipped);
                }
                ddp.require_identical();
                Assert.Equal(Steps, ddp.steps);
                foreach (var ((name, expected), (_, actual)) in whole.named_parameters().Zip(model.named_parameters()))
                    Compare.Close(expected, actual, $"{name} of rank {rank} of [{string.Join(", ", split)}]", Tolerance.TrainedFloat64);
            }, shared);
        }
    }

    [Fact]
    public void A_wrapped_optimizer_and_one_of_torch_optim_after_average_gradients_step_alike_on_all_ranks()
    {
        using var scope = NewDisposeScope();
        var data = Data();
        foreach (bool wrapped in new[] { true, false })
        {
            using var whole = Network(1, false);
            using var alone = optim.SGD(whole.parameters(), 0.1);
            foreach (var (x, y) in data) Step(whole, alone, x, y);
            OnRanks([4, 2], rank =>
            {
                using var ddp = stab.nn.DistributedDataParallel(Network(1, false));
                optim.Optimizer sgd = optim.SGD(ddp.parameters(), 0.1);
                if (wrapped) sgd = stab.optim.ClippedOptimizer(sgd, GradientClip.ByGlobalNorm(1e9));
                foreach (var (x, y) in data) Step(ddp, sgd, Part(x, [4, 2], rank), Part(y, [4, 2], rank), wrapped ? null : ddp.average_gradients);
                foreach (var (expected, actual) in whole.parameters().Zip(ddp.parameters()))
                    Compare.Close(expected, actual, "parameter", Tolerance.TrainedFloat64);
                ddp.require_identical();
            });
        }
    }

    [Fact]
    public void Parametrized_layers_train_on_ranks_as_in_one_process()
    {
        using var scope = NewDisposeScope();
        var data = Data();
        using var whole = Parametrized();
        using var alone = stab.optim.SGD(whole.named_parameters(), 0.1);
        foreach (var (x, y) in data) Step(whole, alone, x, y);
        OnRanks([4, 2], rank =>
        {
            using var ddp = stab.nn.DistributedDataParallel(Parametrized());
            using var sgd = stab.optim.SGD(ddp.named_parameters(), 0.1);
            foreach (var (x, y) in data) Step(ddp, sgd, Part(x, [4, 2], rank), Part(y, [4, 2], rank));
            ddp.require_identical();
            foreach (var (expected, actual) in whole.state_dict().Values.Zip(ddp.module.state_dict().Values))
                Compare.Close(expected, actual, "state", Tolerance.TrainedFloat64);
        });

        static Sequential Parametrized()
        {
            var network = Network(1, false);
            stab.nn.utils.parametrizations.weight_norm((nn.Module)network, out _, filter: path => path == "first");
            stab.nn.utils.parametrizations.spectral_norm((nn.Module)network, out _, filter: path => path == "last");
            foreach (var (key, buffer) in network.named_buffers()) // ranks share libtorch's generator
                using (no_grad()) buffer.copy_(arange(1, buffer.numel() + 1, dtype: ScalarType.Float64).div(key.Length));
            return network;
        }
    }

    [Fact]
    public void No_sync_accumulates_until_the_step_after_it()
    {
        using var scope = NewDisposeScope();
        var data = Data();
        using var whole = Network(1, false);
        foreach (var (x, y) in data) Loss(whole, x, y).backward();
        OnRanks([5, 1], rank =>
        {
            using var ddp = stab.nn.DistributedDataParallel(Network(1, false));
            foreach (var (i, (x, y)) in data.Index())
            {
                using var pause = i < Steps - 1 ? ddp.no_sync() : null;
                Loss(ddp, Part(x, [5, 1], rank), Part(y, [5, 1], rank)).backward();
                if (pause is not null) ddp.average_gradients();
            }
            Assert.Equal(0, ddp.steps);
            ddp.average_gradients();
            foreach (var (expected, actual) in whole.parameters().Zip(ddp.parameters()))
                Compare.Close(expected.grad, actual.grad, "gradient", Tolerance.Accumulation);
        });
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_parameter_that_only_one_rank_uses_gets_its_gradient_everywhere_and_an_idle_one_nowhere(bool shared)
    {
        OnRanks([1, 1], rank =>
        {
            using var model = nn.Sequential(("used", nn.Linear(2, 1)), ("idle", nn.Linear(1, 1)));
            using var ddp = stab.nn.DistributedDataParallel(model);
            var used = ((Linear)model.children().First()).weight!;
            ddp.weigh(rank == 0 ? used.sum() : zeros(1, requires_grad: true).sum(), 1).backward();
            ddp.average_gradients();
            Assert.True(used.grad!.eq(0.5).all().item<bool>());
            Assert.Null(model.parameters().Last().grad);
        }, shared);
    }

    [Theory]
    [InlineData(true, 1, false, false)]
    [InlineData(true, 1e-6, false, false)]
    [InlineData(false, 1, false, false)]
    [InlineData(false, 1e-6, false, false)]
    [InlineData(true, 1, true, false)]
    [InlineData(false, 1, true, false)]
    [InlineData(true, 1, true, true)]
    [InlineData(false, 1, false, true)]
    public void Gradients_of_every_dtype_and_layout_are_summed(bool kernels, double bucket, bool views, bool shared)
    {
        using var form = kernels ? KernelForm.Kernel() : KernelForm.TensorOps();
        foreach (var dtype in new[] { ScalarType.Float32, ScalarType.Float64, ScalarType.BFloat16, ScalarType.Float16 })
        {
            OnRanks([1, 1, 1], rank =>
            {
                using var model = nn.Sequential(nn.Linear(3, 2, dtype: dtype), nn.Linear(40, 3, dtype: dtype), nn.Linear(2, 2, dtype: dtype));
                using var ddp = stab.nn.DistributedDataParallel(model, bucket, gradient_as_bucket_view: views);
                for (int step = 1; step <= 2; step++)
                {
                    ddp.weigh(zeros(1), 1).Dispose();
                    foreach (var (i, p) in model.parameters().Index())
                        p.grad = Increasing(p, i + rank, dtype) is var g && g.dim() > 1 ? g.t().contiguous().t() : g;
                    ddp.average_gradients();
                    foreach (var (i, p) in model.parameters().Index())
                        Compare.Identical(Enumerable.Range(i, 3).Select(k => Increasing(p, k, dtype)).Aggregate((a, b) => a + b), p.grad!, $"{i}, {dtype}");
                }
            }, shared);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void One_ranks_NaN_makes_all_skip_and_the_report_names_rank_and_parameter(bool shared)
    {
        OnRanks([2, 2, 2], rank =>
        {
            using var ddp = stab.nn.DistributedDataParallel(Network(1, false), 0.001);
            using var optimizer = stab.optim.Adam(ddp.named_parameters(), 0.01);
            var before = ddp.parameters().Select(p => p.detach().clone()).ToList();
            Loss(ddp, ones(2, 4, ScalarType.Float64), ones(2, 3, ScalarType.Float64)).backward();
            if (rank == 1) ddp.named_parameters().Last().parameter.grad!.fill_(double.NaN);
            optimizer.step();
            Assert.True(optimizer.LastStep.Skipped);
            Assert.Equal(("module.last.bias", 1), (optimizer.LastStep.FirstNonFinite, optimizer.LastStep.FirstNonFiniteRank));
            foreach (var (expected, actual) in before.Zip(ddp.parameters())) Compare.Identical(expected, actual, "parameter");
            optimizer.NonFinite = NonFinitePolicy.Throw;
            Loss(ddp, full(2, 4, rank == 2 ? double.PositiveInfinity : 1, ScalarType.Float64), ones(2, 3, ScalarType.Float64)).backward();
            var e = Assert.Throws<InvalidOperationException>(() => optimizer.step());
            Assert.Contains(" on rank ", e.Message);
        }, shared);
    }

    [Fact]
    public void Another_model_on_a_rank_is_an_error_on_all()
    {
        OnRanks([1, 1], rank =>
        {
            using var model = nn.Linear(2 + rank, 1);
            var e = Assert.Throws<InvalidOperationException>(() => stab.nn.DistributedDataParallel(model));
            Assert.Contains("rank 0 is at the start of DistributedDataParallel with a model of 2 parameters and buffers, 3 elements", e.Message);
            Assert.Contains("Every rank has to build the same model", e.Message);
        });
    }

    [Fact]
    public void Another_layer_with_the_same_state_and_other_settings_on_a_rank_are_errors_on_all()
    {
        OnRanks([1, 1], rank =>
        {
            using var model = Network(1, norms: true);
            if (rank == 1) stab.nn.utils.convert_sync_batchnorm_(model);
            var error = Assert.Throws<InvalidOperationException>(() => stab.nn.DistributedDataParallel(model));
            Assert.Contains("Every rank has to build the same model", error.Message);
        });
        OnRanks([1, 1], rank =>
        {
            using var ddp = stab.nn.DistributedDataParallel(Network(1, true), broadcast_buffers: rank == 0);
            Assert.Contains("rank 1 is at the forward pass before step 1 of DistributedDataParallel without broadcast_buffers",
                Assert.Throws<InvalidOperationException>(() => ddp.call(ones(1, 4, ScalarType.Float64))).Message);
        });
        OnRanks([1, 1], rank =>
        {
            using var ddp = stab.nn.DistributedDataParallel(Network(1, false), bucket_cap_mb: 1 + rank);
            ddp.call(ones(1, 4, ScalarType.Float64)).mean().backward();
            Assert.Contains("in messages of 1048576 bytes, rank 1 is at step 1 of DistributedDataParallel with 4 parameters in messages of 2097152 bytes",
                Assert.Throws<InvalidOperationException>(ddp.average_gradients).Message);
        });
    }

    [Fact]
    public void Another_number_of_batches_is_an_error_on_all()
    {
        OnRanks([1, 1], rank =>
        {
            using var ddp = stab.nn.DistributedDataParallel(nn.Linear(2, 1));
            using var optimizer = stab.optim.SGD(ddp.parameters(), 0.1);
            var e = Assert.Throws<InvalidOperationException>(() =>
            {
                for (int i = 0; i < 3 + rank; i++)
                {
                    optimizer.zero_grad();
                    ddp.call(ones(1, 2)).mean().backward();
                    optimizer.step();
                }
                stab.distributed.destroy_process_group();
            });
            Assert.Contains("rank 0 is at destroy_process_group, rank 1 is at the forward pass before step 4 of DistributedDataParallel", e.Message);
        });
    }

    [Fact]
    public void The_state_dict_has_PyTorchs_keys_and_one_rank_may_evaluate_alone()
    {
        OnRanks([1, 1], rank =>
        {
            using var ddp = stab.nn.DistributedDataParallel(Network(1, true));
            Assert.Equal(Network(1, true).state_dict().Keys.Select(k => "module." + k), ddp.state_dict().Keys);
            ddp.eval();
            if (rank == 0) ddp.call(ones(2, 4, ScalarType.Float64));
            ddp.train();
            using (no_grad())
                if (rank == 0) ddp.call(ones(2, 4, ScalarType.Float64));
        });
    }

    [Fact]
    public void Buffers_follow_rank_0_and_a_moved_model_goes_on()
    {
        OnRanks([2, 2], rank =>
        {
            using var ddp = stab.nn.DistributedDataParallel(Network(1, true));
            ddp.to(ScalarType.Float32);
            using var optimizer = stab.optim.SGD(ddp.parameters(), 0.1);
            for (int i = 0; i < 2; i++) Step(ddp, optimizer, tensor(new float[,] { { 1, 2, 3, 4 }, { 2, 5, 1, 0 } }) * (rank + 1), ones(2, 3));
            ddp.train();
            ddp.call(rand(2, 4));
            stab.distributed.barrier();
            foreach (var (name, parameter) in ddp.named_parameters())
            {
                var all = stab.distributed.all_gather(parameter.detach());
                Compare.Identical(all[0], all[1], name);
            }
        });
    }

    [Fact]
    public void Nothing_is_left_alive()
    {
        foreach (bool shared in new[] { false, true })
            foreach (int size in new[] { 1, 2 }) LiveTensors.AssertNoneLeft(() => OnRanks(new long[size], _ => Pass(), shared), parameters: 4 * size);
    }

    private static void Pass()
    {
        using var ddp = stab.nn.DistributedDataParallel(Network(1, false));
        Loss(ddp, ones(2, 4, ScalarType.Float64), ones(2, 3, ScalarType.Float64)).backward();
        ddp.average_gradients();
        foreach (var p in ddp.parameters()) p.grad = null;
    }
}

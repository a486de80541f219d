using TorchSharp;
using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchStab.Tests.Distributed.Shards;
using static TorchStab.Tests.Support.OptimizerFile;

namespace TorchStab.Tests.Distributed;

/// <summary>Half-precision models with float32 masters on several ranks: the ranks keep equal masters, not only equal rounded weights.</summary>
public class MasterWeightsTests
{
    private static readonly Dictionary<string, Func<nn.Module, ClippingAwareOptimizer>> Optimizers = new()
    {
        ["AdamW"] = m => stab.optim.AdamW(m.named_parameters(), 1e-5, global_clipnorm: 1, master_weights: true),
        ["SGD"] = m => stab.optim.SGD(m.named_parameters(), 1e-4, momentum: 0.9, master_weights: true),
        ["RMSprop"] = m => stab.optim.RMSprop(m.named_parameters(), 1e-5, master_weights: true),
    };

    public static TheoryData<string, ScalarType, bool, bool> Cases
    {
        get
        {
            var cases = new TheoryData<string, ScalarType, bool, bool>();
            foreach (string name in Optimizers.Keys)
                foreach (var dtype in new[] { ScalarType.BFloat16, ScalarType.Float16 })
                    foreach (bool shared in new[] { false, true }) cases.Add(name, dtype, shared, name == "SGD");
            return cases;
        }
    }

    /// <summary>Gradients of whole numbers are exact in every dtype and order, so that one process and all ranks take the same steps bit for bit.</summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public void All_ranks_step_as_one_process(string name, ScalarType dtype, bool shared, bool view)
    {
        using var scope = NewDisposeScope();
        using var alone = Network(1, norms: false).to(dtype);
        using var optimizer = Optimizers[name](alone);
        for (int step = 0; step < 5; step++) Run(alone, optimizer, step, 3, ranks: 1, rank: 0);
        var expected = Masters(optimizer).ConvertAll(m => m.clone());
        Assert.Contains(expected.Zip(alone.parameters()), p => !p.First.equal(p.Second.to(float32)).all().item<bool>()); // the rounded weights say less
        OnRanks([2, 1], rank =>
        {
            using var here = NewDisposeScope();
            using var model = Network(rank + 1, norms: false).to(dtype); // rank 1 gets rank 0's
            using var ddp = stab.nn.DistributedDataParallel(model, gradient_as_bucket_view: view);
            using var own = Optimizers[name](model);
            for (int step = 0; step < 3; step++) Run(ddp, own, step, 3, ranks: 2, rank);
            // A file of rank 0 continues on every rank.
            byte[] file = Save(own);
            using var other = Optimizers[name](model);
            other.load_state_dict(new BinaryReader(new MemoryStream(file)));
            for (int step = 3; step < 5; step++) Run(ddp, other, step, 3, ranks: 2, rank);
            ddp.require_identical();
            foreach (var (e, m) in expected.Zip(Masters(other))) Compare.Identical(e, m, $"master on rank {rank}");
            foreach (var (e, p) in alone.parameters().Zip(model.parameters())) Compare.Identical(e, p, $"parameter on rank {rank}");
        }, shared);
    }

    // A NaN on one rank skips the step on all, and no master changes.
    [Fact]
    public void A_gradient_that_is_not_finite_on_one_rank_changes_no_master()
    {
        OnRanks([2, 1], rank =>
        {
            using var scope = NewDisposeScope();
            using var model = Network(1, norms: false).to(bfloat16);
            using var ddp = stab.nn.DistributedDataParallel(model);
            using var optimizer = Optimizers["AdamW"](model);
            Run(ddp, optimizer, 0, 3, ranks: 2, rank);
            var before = Masters(optimizer).ConvertAll(m => m.clone());
            Run(ddp, optimizer, 1, 3, ranks: 2, rank, spoil: rank == 1);
            Assert.True(optimizer.LastStep.Skipped);
            foreach (var (e, m) in before.Zip(Masters(optimizer))) Compare.Identical(e, m, "master");
        });
    }

    // A pass that begins the step on every rank; then the gradients, in which the ranks' parts sum to those of one process.
    private static void Run(nn.Module<Tensor, Tensor> model, ClippingAwareOptimizer optimizer, int step, int samples, int ranks, int rank, bool spoil = false)
    {
        using var scope = NewDisposeScope();
        optimizer.zero_grad();
        int own = ranks == 1 ? samples : rank == 0 ? samples - 1 : 1;
        model.call(ones(own, 4, model.parameters().First().dtype)).sum().backward();
        foreach (var p in model.parameters())
            p.grad!.copy_(spoil ? full_like(p, float.NaN) : (Increasing(p, step - 8, p.dtype) * (ranks == 1 ? 3 : rank == 0 ? 1 : 2)));
        optimizer.step();
    }

    private static List<Tensor> Masters(ClippingAwareOptimizer optimizer) =>
        [.. optimizer.state_dict().State.Select(s => ((MomentState)s).master_param!)];
}

using static TorchSharp.torch;
using static TorchStab.Tests.Distributed.Shards;

namespace TorchStab.Tests.Distributed;

/// <summary>Many steps leave as many tensors alive as few, whether or not the user opens a DisposeScope for each.</summary>
public class LiveTensorTests
{
    // What other ranks hold in an exchange when it is counted comes and goes.
    private const int Warm = 5, Many = 150, InFlight = 20;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Calls_of_stab_distributed(bool scoped) => Soak(scoped, _ =>
    {
        var (own, transposed, half) = (ones(3, 4), ones(3, 4, ScalarType.Float64).t(), ones(5, ScalarType.BFloat16));
        return () =>
        {
            foreach (var t in new[] { own, transposed, half })
            {
                stab.distributed.all_reduce(t, ReduceOp.Avg);
                stab.distributed.broadcast(t, 1);
                foreach (var each in stab.distributed.all_gather(t)) each.Dispose();
                stab.distributed.all_gather([t, t], t);
            }
            stab.distributed.barrier();
        };
    });

    [Theory]
    [InlineData(false, true)]
    [InlineData(true, true)]
    [InlineData(false, false)]
    [InlineData(true, false)]
    public void SyncBatchNorm_in_both_directions(bool scoped, bool affine) => Soak(scoped, rank =>
    {
        var norm = stab.nn.SyncBatchNorm(3, affine: affine);
        var x = arange(6 + (6 * rank), ScalarType.Float32).view(-1, 3).requires_grad_();
        return () =>
        {
            norm.zero_grad();
            x.grad = null;
            using var y = norm.call(x);
            using var loss = y.mean();
            loss.backward();
        };
    });

    [Theory]
    [InlineData(false, false, true)]
    [InlineData(true, false, true)]
    [InlineData(false, true, true)]
    [InlineData(true, true, true)]
    [InlineData(false, true, false)]
    [InlineData(true, true, false)]
    public void Steps_of_DistributedDataParallel(bool scoped, bool views, bool setToNone) => Soak(scoped, rank =>
    {
        var model = Network(1, true);
        stab.nn.utils.convert_sync_batchnorm_(model);
        var ddp = stab.nn.DistributedDataParallel(model, gradient_as_bucket_view: views);
        var optimizer = stab.optim.Adam(ddp.named_parameters(), 1e-3, global_clipnorm: 1);
        var (x, y) = (arange(8 + (8 * rank), ScalarType.Float64).sin().view(-1, 4), arange(6 + (6 * rank), ScalarType.Float64).cos().view(-1, 3));
        return () =>
        {
            optimizer.zero_grad(setToNone);
            using var output = ddp.call(x);
            using var loss = nn.functional.mse_loss(output, y);
            loss.backward();
            optimizer.step();
        };
    });

    private static void Soak(bool scoped, Func<int, Action> prepare)
    {
        var (few, many) = (0L, 0L);
        OnRanks([1, 1], rank =>
        {
            var step = prepare(rank);
            for (int i = 1; i <= Many; i++)
            {
                using (scoped ? NewDisposeScope() : null) step();
                if (i is not (Warm or Many)) continue;
                stab.distributed.barrier(); // nobody makes a tensor between these two
                if (rank == 0) (few, many) = (many, Tensor.TotalCount);
                stab.distributed.barrier();
            }
        });
        Assert.True(many - few < InFlight, $"{many - few} more tensors after {Many} steps than after {Warm}");
    }
}

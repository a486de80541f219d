using TorchSharp;
using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Distributed;

/// <summary>SyncBatchNorm over several ranks against torch.nn's BatchNorm over the whole batch in one process.</summary>
public class SyncBatchNormTests
{
    private static readonly long[][] Splits = [[4, 4], [5, 3], [1, 7], [0, 8], [8, 0, 0], [3, 1, 4], [2, 0, 5, 1]];

    public static TheoryData<ScalarType, int> Cases
    {
        get
        {
            var data = new TheoryData<ScalarType, int>();
            foreach (var dtype in new[] { ScalarType.Float64, ScalarType.Float32 })
                foreach (int rank in new[] { 2, 3, 4, 5 }) data.Add(dtype, rank);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Any_split_gives_what_one_process_gives_with_the_whole_batch(ScalarType dtype, int rank)
    {
        foreach (var (i, split) in Splits.Index()) new Problem(rank, dtype, seed: 10 * rank + i).Check(split);
    }

    [Theory]
    [InlineData(false, true, 0.1)]
    [InlineData(true, false, 0.1)]
    [InlineData(true, true, null)]
    public void So_it_does_without_parameters_without_statistics_and_with_a_cumulative_average(bool affine, bool track, double? momentum)
    {
        new Problem(4, ScalarType.Float64, 1, affine, track, momentum).Check([3, 5]);
    }

    [Theory]
    [InlineData(1e4, 1e-2)]
    [InlineData(0, 1e20)]
    public void A_small_deviation_beside_a_large_mean_keeps_its_digits_and_a_large_one_its_size(double mean, double deviation)
    {
        foreach (var form in new Func<KernelForm>[] { () => KernelForm.Kernel(), KernelForm.TensorOps })
        {
            using (form()) new Problem(3, ScalarType.Float32, 2) { Mean = mean, Deviation = deviation }.CheckOutput([3, 5]);
        }
    }

    [Theory]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float16)]
    public void Half_inputs_may_have_float32_parameters(ScalarType dtype)
    {
        manual_seed(3);
        using var scope = NewDisposeScope();
        var x = randn(8, 3, 4, ScalarType.Float32);
        var expected = nn.BatchNorm1d(3).call(x.to(dtype).to(ScalarType.Float32)).to(dtype);
        InProcessCollective.Run(2, collective =>
        {
            var output = stab.nn.SyncBatchNorm(3).call(x.narrow(0, 4 * collective.Rank, 4).to(dtype).requires_grad_(true));
            Compare.Close(expected.narrow(0, 4 * collective.Rank, 4), output, "output");
            output.mean().backward();
        });
    }

    [Fact]
    public void Alone_or_in_eval_mode_it_is_BatchNorm_bit_for_bit()
    {
        using var scope = NewDisposeScope();
        var (plain, sync) = (stab.nn.BatchNorm2d(3), stab.nn.SyncBatchNorm(3));
        var x = randn(4, 3, 5, 5);
        Compare.Identical(plain.call(x), sync.call(x), "training");
        plain.eval();
        sync.eval();
        Compare.Identical(plain.call(x), sync.call(x), "eval");
        Assert.Equal(plain.state_dict().Keys, sync.state_dict().Keys);
        sync.load_state_dict(plain.state_dict());
        // One rank may evaluate while the other does something else.
        InProcessCollective.Run(2, collective =>
        {
            if (collective.Rank == 0) Compare.Identical(plain.call(x), sync.call(x), "eval of one rank");
        });
    }

    [Fact]
    public void PyTorchs_errors_are_raised()
    {
        using var norm = stab.nn.SyncBatchNorm(3);
        Assert.Contains("expected at least 2D input (got 1D input)", Assert.Throws<ArgumentException>(() => norm.call(zeros(3))).Message);
        Assert.Contains("SyncBatchNorm number of input channels should be non-zero", Assert.Throws<ArgumentException>(() => norm.call(zeros(2, 0))).Message);
        Assert.Contains("Expected more than 1 value per channel when training, got input size torch.Size([1, 3])",
            Assert.Throws<ArgumentException>(() => norm.call(zeros(1, 3))).Message);
        Assert.Contains("running_mean should contain 4 elements not 3", Assert.Throws<ArgumentException>(() => norm.call(zeros(2, 4))).Message);
        InProcessCollective.Run(2, collective =>
        {
            using var sync = stab.nn.SyncBatchNorm(3);
            Assert.Contains("Expected more than 1 value per channel", Assert.Throws<ArgumentException>(() => sync.call(zeros(collective.Rank, 3))).Message);
            Assert.Equal("mask", Assert.Throws<ArgumentException>(() => sync.forward(zeros(2, 3), ones(2, 3))).ParamName);
            Assert.Equal(0, sync.num_batches_tracked!.item<long>());
            sync.call(ones(1, 3));
        });
    }

    [Fact]
    public void A_rank_whose_backward_pass_leaves_the_norm_out_is_an_error_and_no_hang()
    {
        var e = Assert.ThrowsAny<Exception>(() => InProcessCollective.Run(2, collective =>
        {
            using var norm = stab.nn.SyncBatchNorm(3);
            var output = norm.call(ones(2, 3).requires_grad_(true));
            if (collective.Rank == 0) output.mean().backward();
            else stab.distributed.barrier();
        }));
        Assert.Contains("rank 0 is at the backward pass of a SyncBatchNorm of 3 channels, rank 1 is at barrier", e.Message);
    }

    [Fact]
    public void Nothing_is_left_alive()
    {
        LiveTensors.AssertNoneLeft(() => InProcessCollective.Run(2, _ =>
        {
            using var norm = stab.nn.SyncBatchNorm(3, affine: false);
            using var x = ones(2, 3).requires_grad_(true);
            using var output = norm.call(x);
            using var mean = output.mean();
            mean.backward();
            using var grad = x.grad;
        }));
    }

    private sealed class Problem(int rank, ScalarType dtype, int seed, bool affine = true, bool track = true, double? momentum = 0.1)
    {
        private const long Channels = 3, Batch = 8;

        public double Mean { get; init; } = 0.5;

        public double Deviation { get; init; } = 2;

        public void Check(long[] split)
        {
            using var scope = NewDisposeScope();
            var (x, upstream) = Draw();
            var whole = New(sync: false);
            var expected = Step(whole, x, upstream);
            var results = Ranks(split, x, upstream);
            string what = $"{dtype} rank {rank} [{string.Join(", ", split)}]";
            double tolerance = dtype == ScalarType.Float64 ? Tolerance.Synced : Tolerance.Float32;
            Compare.Close(expected.Output, cat([.. results.Select(r => r.Output)]), $"{what} output", tolerance);
            Compare.Close(expected.Gradient, cat([.. results.Select(r => r.Gradient)]), $"{what} input gradient", tolerance);
            foreach (var (i, (name, parameter)) in whole.named_parameters().Index())
                Compare.Close(parameter.grad, results.Select(r => r.Parameters[i]).Aggregate((a, b) => a + b), $"{what} gradient of {name}", tolerance);
            // TorchSharp counts batches in a float.
            foreach (var (name, buffer) in whole.named_buffers().Where(b => b.name != "num_batches_tracked"))
                foreach (var result in results) Compare.Close(buffer, result.Buffers[name], $"{what} {name}", tolerance);
            foreach (var (name, buffer) in results[0].Buffers) Compare.Identical(buffer, results[^1].Buffers[name], $"{what} {name} of two ranks");
        }

        public void CheckOutput(long[] split)
        {
            using var scope = NewDisposeScope();
            var (x, upstream) = Draw();
            var norm = New(sync: true);
            norm.to(ScalarType.Float64);
            var exact = Step(norm, x.to(ScalarType.Float64), upstream.to(ScalarType.Float64));
            var results = Ranks(split, x, upstream);
            Compare.Close(exact.Output.to(dtype), cat([.. results.Select(r => r.Output)]), "output", Tolerance.Float32);
            Compare.Close(exact.Gradient.to(dtype), cat([.. results.Select(r => r.Gradient)]), "input gradient", Tolerance.Float32);
        }

        private (Tensor X, Tensor Upstream) Draw()
        {
            manual_seed(seed);
            long[] shape = [Batch, Channels, .. Enumerable.Range(2, rank - 2).Select(d => (long)d)];
            return ((randn(shape, ScalarType.Float64) * Deviation + Mean).to(dtype), randn(shape, ScalarType.Float64).to(dtype));
        }

        private nn.Module<Tensor, Tensor> New(bool sync)
        {
            nn.Module<Tensor, Tensor> norm = sync ? stab.nn.SyncBatchNorm(Channels, 1e-5, momentum, affine, track, dtype: dtype) : (rank, momentum) switch
            {
                (4, null) => stab.nn.BatchNorm2d(Channels, 1e-5, null, affine, track, dtype: dtype), // TorchSharp's has no cumulative average
                (4, _) => nn.BatchNorm2d(Channels, 1e-5, momentum.Value, affine, track, dtype: dtype),
                (5, _) => nn.BatchNorm3d(Channels, 1e-5, momentum!.Value, affine, track, dtype: dtype),
                _ => nn.BatchNorm1d(Channels, 1e-5, momentum!.Value, affine, track, dtype: dtype),
            };
            using var _ = no_grad();
            foreach (var (i, p) in norm.parameters().Index()) p.copy_(tensor([0.5, -1.5, 2]).add(i).to(dtype));
            if (track) norm.get_buffer("running_mean")!.copy_(tensor([0.1, 0.2, -0.3]).to(dtype));
            return norm;
        }

        private List<Result> Ranks(long[] split, Tensor x, Tensor upstream)
        {
            var results = new Result[split.Length];
            InProcessCollective.Run(split.Length, collective =>
            {
                long start = split[..collective.Rank].Sum(), length = split[collective.Rank];
                using var norm = New(sync: true);
                Assert.IsType<SyncBatchNorm>(norm);
                results[collective.Rank] = Step(norm, x.narrow(0, start, length), upstream.narrow(0, start, length));
            });
            return [.. results];
        }

        private static Result Step(nn.Module<Tensor, Tensor> norm, Tensor x, Tensor upstream)
        {
            var input = x.detach().clone().requires_grad_(true);
            var output = norm.call(input);
            output.backward([upstream]);
            return new(Keep(output.detach()), Keep(input.grad!), [.. norm.parameters().Select(p => Keep(p.grad!))],
                norm.named_buffers().ToDictionary(b => b.name, b => Keep(b.buffer.clone())));
        }

        private static Tensor Keep(Tensor t) => t.DetachFromDisposeScope();
    }

    private sealed record Result(Tensor Output, Tensor Gradient, Tensor[] Parameters, Dictionary<string, Tensor> Buffers);
}

using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Normalization;

/// <summary>Running statistics: what no dtype holds, and what cannot be written.</summary>
public class RunningStatisticsTests
{
    private const float Largest = float.MaxValue;

    public static TheoryData<bool> Forms => new() { true, false };

    private static KernelForm Form(bool kernel) => kernel ? KernelForm.Kernel() : KernelForm.TensorOps();

    [Theory]
    [MemberData(nameof(Forms))]
    public void A_variance_beyond_the_dtype_counts_as_its_largest_number_and_is_recovered_from(bool kernel)
    {
        using var form = Form(kernel);
        using var scope = NewDisposeScope();
        manual_seed(1);
        (NormBase, Tensor)[] cases =
        [
            (stab.nn.BatchNorm1d(3), randn(8, 3)), (stab.nn.BatchNorm2d(3), randn(8, 3, 4, 4)), (stab.nn.BatchRenorm1d(3), randn(8, 3)),
            (stab.nn.InstanceNorm1d(3, track_running_stats: true), randn(8, 3, 5)),
        ];
        foreach (var (module, x) in cases)
        {
            module.call(x * 1e20f);
            Compare.Close(full(3, 0.1, ScalarType.Float32), module.running_var! / Largest, "the share of a batch of the largest number");
            Assert.True(module.running_mean!.isfinite().all().item<bool>());
            module.running_var!.fill_(float.PositiveInfinity); // as a file of PyTorch may hold it
            for (int i = 0; i < 1000; i++) module.call(x);
            Assert.InRange(module.running_var!.max().item<float>(), 0.1f, 4f);
            module.Dispose();
        }
    }

    [Theory]
    [MemberData(nameof(Forms))]
    public void The_largest_number_is_that_of_the_buffers_dtype(bool kernel)
    {
        using var form = Form(kernel);
        using var scope = NewDisposeScope();
        manual_seed(2);
        foreach (var (dtype, scale, largest) in new[] { (ScalarType.Float16, 1e4, 65504.0), (ScalarType.BFloat16, 1e30, 3.3895313892515355e38),
            (ScalarType.Float64, 1e200, double.MaxValue) })
        {
            using var module = stab.nn.BatchNorm1d(3, dtype: dtype, momentum: 1);
            module.call((randn(8, 3, ScalarType.Float64) * scale).to(dtype));
            Assert.Equal(largest, module.running_var!.min().to(ScalarType.Float64).item<double>());
        }
    }

    [Theory]
    [MemberData(nameof(Forms))]
    public void A_cumulative_average_stays_finite(bool kernel)
    {
        using var form = Form(kernel);
        using var scope = NewDisposeScope();
        manual_seed(3);
        using var module = stab.nn.BatchNorm1d(3, momentum: null);
        var x = randn(8, 3);
        foreach (float scale in new[] { 1f, 1e20f, 1f, 1f }) module.call(x * scale);
        Assert.True(module.running_var!.isfinite().all().item<bool>());
        Assert.True(module.running_mean!.abs().max().item<float>() < 1e20f);
        Compare.Close(full(3, 0.25, ScalarType.Float32), module.running_var / Largest, "one of four batches of the largest number");
    }

    [Theory]
    [MemberData(nameof(Forms))]
    public void Means_of_large_samples_are_averaged_without_overflow(bool kernel)
    {
        using var form = Form(kernel);
        using var scope = NewDisposeScope();
        using var module = stab.nn.InstanceNorm1d(2, momentum: 1, track_running_stats: true);
        module.call(full(6, 2, 5, 2e38, ScalarType.Float32));
        Compare.Close(full(2, 2e38, ScalarType.Float32), module.running_mean, "mean");
    }

    public static TheoryData<string, bool> Unwritable
    {
        get
        {
            TheoryData<string, bool> cases = [];
            foreach (string name in new[] { "expanded", "meta", "sparse", "inference" })
            {
                cases.Add(name, true);
                cases.Add(name, false);
            }
            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Unwritable))]
    public void Nothing_is_written_where_one_buffer_cannot_be(string how, bool kernel)
    {
        using var form = Form(kernel);
        using var scope = NewDisposeScope();
        manual_seed(4);
        foreach (string buffer in new[] { "running_var", "num_batches_tracked" })
        {
            foreach (var module in new NormBase[] { stab.nn.BatchNorm1d(3), stab.nn.BatchRenorm1d(3), stab.nn.BatchNormReLU1d(3), stab.nn.SyncBatchNorm(3),
                stab.nn.InstanceNorm1d(3, track_running_stats: true) })
            {
                bool counter = buffer != "running_var";
                if (counter && module is InstanceNorm) continue; // counts nothing
                var spoilt = Spoil(how, counter);
                if (counter) module.num_batches_tracked = spoilt;
                else module.running_var = spoilt;
                var before = module.running_mean!.clone();
                var error = Record.Exception(() => module.call(randn(4, 3, 5)));
                string what = $"{module.GetName()}, {how} {buffer}";
                if (error is null)
                {
                    // A kernel writes it all the same: then everything is written.
                    Assert.True(module.running_mean!.ne(before).any().item<bool>(), what);
                    continue;
                }
                Assert.True(error is ArgumentException { ParamName: { } parameter } && parameter == buffer, $"{what}: {error}");
                Compare.Identical(before, module.running_mean!, what);
                if (!counter) Assert.Equal(0, module.num_batches_tracked!.item<long>());
            }
        }
    }

    private static Tensor Spoil(string how, bool counter)
    {
        var good = counter ? zeros([], ScalarType.Int64) : ones(3);
        switch (how)
        {
            case "expanded": return counter ? zeros(1, ScalarType.Int64).expand(3) : ones(1).expand(3);
            case "meta": return counter ? zeros([], ScalarType.Bool) : good.to(META);
            case "sparse": return counter ? zeros(2, ScalarType.Int64).to_sparse() : good.to_sparse();
            default:
                using (inference_mode()) return counter ? zeros([], ScalarType.Int64) : ones(3);
        }
    }

    [Fact]
    public void A_disposed_buffer_is_seen_before_anything_is_written()
    {
        using var scope = NewDisposeScope();
        foreach (bool kernel in new[] { true, false })
        {
            using var form = Form(kernel);
            using var module = stab.nn.BatchNorm1d(3);
            module.num_batches_tracked!.Dispose();
            Assert.ThrowsAny<Exception>(() => module.call(randn(4, 3)));
            Compare.Identical(zeros(3), module.running_mean!, "mean");
        }
    }
}

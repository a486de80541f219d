using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Normalization;

/// <summary>Masked statistics of BatchNorm, by equivalence: a padded batch is the batch without its padding, a weight is a repetition.</summary>
public class MaskedBatchNormTests
{
    private const ScalarType Double = ScalarType.Float64;

    [Fact]
    public void A_mask_of_ones_is_no_mask()
    {
        using var scope = NewDisposeScope();
        manual_seed(1);
        using var masked = stab.nn.BatchNorm2d(3, dtype: Double);
        using var plain = stab.nn.BatchNorm2d(3, dtype: Double);
        var a = NormArguments.Draw(2, 4, "contiguous", Double, false) with { Weight = null, Bias = null };
        a = a with { Input = randn([4, 3, 5, 2], Double), Upstream = randn([4, 3, 5, 2], Double), Directions = [randn([4, 3, 5, 2], Double)] };
        foreach (var mask in new[] { ones([4, 1, 5, 2], Double), ones([5, 2], ScalarType.Bool), ones([], ScalarType.Int64), ones([4, 3, 5, 2]) })
            a.Compare((x, _, _, _, _) => plain.call(x), (x, _, _, _, _) => masked.forward(x, mask), "ones", second: true);
        foreach (var (key, value) in plain.state_dict()) Compare.Close(value, masked.state_dict()[key], key);
        Compare.Close(plain.forward(a.Input), plain.forward(a.Input, null), "null");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_padded_batch_is_the_batch_without_padding(bool garbage)
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        const long N = 4, C = 3, L = 6;
        var mask = arange(L).unsqueeze(0).lt(tensor([6L, 2, 5, 1]).unsqueeze(1)).unsqueeze(1); // (N, 1, L)
        var values = randn([N, C, L], Double);
        if (garbage) values = values.masked_fill(mask.logical_not(), double.NaN);
        using var padded = stab.nn.BatchNorm1d(C, dtype: Double);
        using var packed = stab.nn.BatchNorm1d(C, dtype: Double);
        NormModuleTests.Randomize(padded);
        packed.load_state_dict(padded.state_dict());

        // (N, C, L) to the (n, C) of what counts.
        Tensor Pack(Tensor t) => t.permute(0, 2, 1)[mask.squeeze(1)];
        var (x, z) = (values.clone().requires_grad_(true), Pack(values).detach().requires_grad_(true));
        var upstream = randn([N, C, L], Double) * mask;
        var y = padded.forward(x, mask);
        var expected = packed.forward(z);
        y.backward([upstream]);
        expected.backward([Pack(upstream)]);
        Compare.Close(expected, Pack(y), "output");
        Compare.Close(z.grad, Pack(x.grad!), "grad_input");
        Compare.Close(packed.weight.grad, padded.weight.grad, "grad_weight");
        Compare.Close(packed.bias!.grad, padded.bias!.grad, "grad_bias");
        foreach (var (key, value) in packed.state_dict()) Compare.Close(value, padded.state_dict()[key], key);
        Assert.True(y.isfinite().all().item<bool>());
    }

    [Theory]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    public void Padding_that_is_no_number_reaches_no_gradient_in_eval_mode(double junk)
    {
        using var scope = NewDisposeScope();
        manual_seed(7);
        var mask = arange(6).unsqueeze(0).lt(tensor([6L, 2, 5, 1]).unsqueeze(1)).unsqueeze(1);
        var (values, upstream) = (randn(4, 3, 6), randn(4, 3, 6) * mask);
        foreach (var m in new BatchNorm[] { stab.nn.BatchNorm1d(3), stab.nn.BatchNormReLU1d(3), stab.nn.BatchRenorm1d(3), stab.nn.SyncBatchNorm(3) })
        {
            NormModuleTests.Randomize(m);
            m.eval();
            var (x, expected) = (values.masked_fill(mask.logical_not(), junk).requires_grad_(true), values.clone().requires_grad_(true));
            var y = m.forward(x, mask);
            y.backward([upstream]);
            var weight = m.weight.grad!.clone();
            m.zero_grad();
            var z = m.forward(expected, mask);
            z.backward([upstream]);
            Compare.Close(z * mask, y * mask, "output");
            Compare.Close(expected.grad, x.grad, "grad_input");
            Compare.Close(m.weight.grad, weight, "grad_weight");
        }
    }

    [Fact]
    public void A_weight_is_a_repetition_and_counts_after_broadcasting()
    {
        using var scope = NewDisposeScope();
        manual_seed(4);
        var x = randn([3, 2, 4], Double);
        var weights = tensor([1L, 3, 0]).reshape(3, 1, 1);
        var repeated = cat([x[TensorIndex.Slice(0, 1)], x[TensorIndex.Slice(1, 2)].expand(3, 2, 4)]);
        using var masked = stab.nn.BatchNorm1d(2, momentum: 1, dtype: Double);
        using var plain = stab.nn.BatchNorm1d(2, momentum: 1, dtype: Double);
        var y = masked.forward(x, weights);
        var expected = plain.forward(repeated);
        Compare.Close(expected[TensorIndex.Slice(0, 2)], y[TensorIndex.Slice(0, 2)], "output");
        // n = 16 for n/(n − 1): 4 rows of 4 positions.
        foreach (var (key, value) in plain.state_dict()) Compare.Close(value, masked.state_dict()[key], key);
    }

    [Fact]
    public void Masked_statistics_of_half_types_are_accumulated_in_float32()
    {
        using var scope = NewDisposeScope();
        manual_seed(5);
        var x = randn(64, 2, 40).bfloat16();
        var mask = rand(64, 1, 40).gt(0.3);
        using var half = stab.nn.BatchNorm1d(2, momentum: 1);
        using var wide = stab.nn.BatchNorm1d(2, momentum: 1, dtype: Double);
        var y = half.forward(x, mask);
        var expected = wide.forward(x.to(Double), mask);
        Compare.Close(expected.bfloat16(), y, "output");
        Compare.Close(wide.running_var!.to(ScalarType.Float32), half.running_var, "variance");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_infinite_value_makes_the_mean_infinite_of_its_sign(bool masked)
    {
        using var scope = NewDisposeScope();
        using var form = KernelForm.TensorOps();
        using var m = stab.nn.BatchNorm1d(1, dtype: Double);
        var x = tensor([1, double.PositiveInfinity, 2], Double).unsqueeze(1);
        m.forward(x, masked ? ones(3, 1) : null);
        Assert.Equal(double.PositiveInfinity, m.running_mean!.item<double>());
    }

    [Fact]
    public void A_mask_that_leaves_one_value_or_does_not_fit_is_refused()
    {
        using var scope = NewDisposeScope();
        manual_seed(6);
        using var m = stab.nn.BatchNorm1d(2);
        var x = randn(3, 2, 4);
        var one = zeros(3, 1, 4);
        one[0, 0, 0] = 1;
        foreach (var (mask, words) in new[] { (one, "got input size torch.Size([3, 2, 4]) and a mask of weight 1 or less in a channel"),
            (zeros(1), "Expected more than 1 value"), (ones(3, 4), "mask of shape [3, 4]") })
        {
            var e = Assert.Throws<ArgumentException>(() => m.forward(x, mask));
            Assert.Contains(words, e.Message, StringComparison.Ordinal);
            Assert.Equal(0, m.num_batches_tracked!.item<long>());
            Compare.Identical(zeros(2), m.running_mean!, "running_mean");
        }
        m.SingleValuePolicy = SingleValuePolicy.UseRunningStatistics;
        var y = m.forward(x, one);
        Assert.Equal(0, m.num_batches_tracked!.item<long>());
        m.eval();
        Compare.Identical(m.forward(x), y, "as in eval");
        Compare.Identical(m.forward(x), m.forward(x, one), "eval takes no notice");
    }
}

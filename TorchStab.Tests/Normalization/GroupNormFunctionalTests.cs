using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchStab.Tests.Support.Refusals;
using F = TorchSharp.torch.nn.functional;

namespace TorchStab.Tests.Normalization;

public class GroupNormFunctionalTests : InOneForm
{
    public GroupNormFunctionalTests() : base(null) { }

    private protected GroupNormFunctionalTests(KernelForm form) : base(form) { }

    public static TheoryData<int, string, ScalarType> Draws => LayerNormFunctionalTests.Draws;

    [Theory]
    [MemberData(nameof(Draws))]
    public void Equals_libtorch_on_random_shapes_values_and_layouts(int seed, string layout, ScalarType dtype)
    {
        for (int i = 0; i < 5; i++)
        {
            using var scope = NewDisposeScope();
            random.manual_seed(seed + 1000 * i);
            var dice = new Random(seed + 1000 * i);
            long groups = dice.Next(1, 4), channels = groups * dice.Next(1, 4);
            int rank = layout == "channels_last" ? dice.Next(4, 6) : dice.Next(2, 6);
            // At least two values in a group: PyTorch refuses one, libtorch does not.
            long[] shape = [.. new[] { dice.Next(2, 4), channels }, .. Enumerable.Range(2, rank - 2).Select(_ => (long)dice.Next(1, 5))];
            var parameters = dtype is ScalarType.Float64 || dice.Next(2) == 0 ? dtype : ScalarType.Float32;
            Tensor? weight = dice.Next(4) == 0 ? null : randn(channels).to(parameters), bias = dice.Next(4) == 0 ? null : randn(channels).to(parameters);
            // libtorch's backward fails for a bias alone.
            if (weight is null) bias = null;
            var input = NormArguments.Arrange(shape, layout, dtype);
            ChannelNorm theirs = (x, _, _, w, b) => F.group_norm(x, groups, w, b, 1e-3),
                ours = (x, _, _, w, b) => stab.nn.functional.group_norm(x, groups, w, b, 1e-3);
            NormArguments.Of(input, weight, bias).Compare(theirs, ours, $"{i}", second: false, rounded: true);
            if (dtype == ScalarType.Float64) NormArguments.Of(input, weight).Compare(theirs, ours, $"{i}", second: true);
        }
    }

    [Theory]
    [InlineData(0, 4, 3)]
    [InlineData(2, 4, 0)]
    [InlineData(2, 0, 3)]
    public void Empty_inputs_give_empty_outputs_and_zero_gradients(long samples, long channels, long positions)
    {
        using var scope = NewDisposeScope();
        Tensor x = empty(samples, channels, positions, requires_grad: true), w = ones([channels], requires_grad: true);
        var y = stab.nn.functional.group_norm(x, 2, w);
        Assert.Equal([samples, channels, positions], y.shape);
        y.backward([ones_like(y)]);
        Compare.Identical(zeros(channels), w.grad!, "weight");
    }

    [Fact]
    public void A_value_that_is_no_number_stays_within_its_group()
    {
        using var scope = NewDisposeScope();
        var x = randn(2, 4, 5);
        x[1, 2, 3] = double.NaN;
        x.requires_grad_(true);
        var y = stab.nn.functional.group_norm(x, 2);
        y.backward([randn_like(y)]);
        foreach (var t in new[] { y, x.grad! })
            Assert.Equal([true, true, true, true, true, true, false, false], t.isfinite().all(2).reshape(-1).data<bool>().ToArray());
    }

    [Fact]
    public void One_value_in_a_group_is_refused_as_PyTorch_refuses_it()
    {
        using var scope = NewDisposeScope();
        Refused("Expected more than 1 value per channel when training, got input size [1, 2]", "input", () => stab.nn.functional.group_norm(ones(1, 2), 2));
        Refused("Expected more than 1 value per channel when training, got input size [1, 3, 1, 1]", "input",
            () => stab.nn.functional.group_norm(ones(1, 3, 1, 1), 3));
        Refused("Expected at least 2 dimensions for input tensor but received 1", "input", () => stab.nn.functional.group_norm(ones(4), 2));
        Refused("Expected num groups to be greater than 0, got 0", "num_groups", () => stab.nn.functional.group_norm(ones(2, 4), 0));
        Refused("Expected num groups to be greater than 0, got -1", "num_groups", () => stab.nn.GroupNorm(-1, 4));
        Refused("Expected num groups to be greater than 0, got 0", "num_groups", () => stab.nn.GroupNorm(0, 4));
        Refused("num_channels must be divisible by num_groups", "num_groups", () => stab.nn.GroupNorm(3, 4));
        using var one = stab.nn.functional.group_norm(ones(2, 2), 2);
        Compare.Identical(zeros(2, 2), one, "one value in each of several samples");
    }

    [Fact]
    public void Parameters_that_are_not_one_for_each_channel_are_refused_as_PyTorch_refuses_them()
    {
        using var scope = NewDisposeScope();
        var x = randn(2, 4, 3);
        Refused("Expected weight to be a vector of size equal to the number of channels in input, but got weight of shape [3] and input of shape [2, 4, 3]",
            "weight",
            () => stab.nn.functional.group_norm(x, 2, ones(3)));
        Refused("got weight of shape [1, 4]", "weight", () => stab.nn.functional.group_norm(x, 2, ones(1, 4)));
        Refused("but got bias of shape [4] and input of shape [2, 4, 3]; bias has shape [2]", "bias",
            () => stab.nn.functional.group_norm(x, 2, ones(4), zeros(2)));
        Refused("but got bias of shape [2] and input", "bias", () => stab.nn.functional.group_norm(x, 2, null, zeros(2)));
        Refused("expect parameter to have scalar type of Float; weight is Float64", "weight",
            () => stab.nn.functional.group_norm(x, 2, ones(4, ScalarType.Float64)));
        Refused("\"GroupNormKernelImpl\" not implemented for 'Long'", "input", () => stab.nn.functional.group_norm(x.to(ScalarType.Int64), 2));
    }
}

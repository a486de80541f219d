using static TorchSharp.torch;

namespace TorchStab.Tests.Issues;

/// <summary>Normalization modules of TorchSharp 0.107.0 that go wrong in silence, and the same call here.</summary>
public class TorchSharpNormDefectsTests
{
    [Fact]
    public void One_value_per_channel_poisons_BatchNorm_there_and_is_an_error_here()
    {
        using var scope = NewDisposeScope();
        using var theirs = nn.BatchNorm1d(3);
        theirs.call(randn(1, 3));
        theirs.eval();
        Assert.True(theirs.call(randn(2, 3)).isnan().all().item<bool>());

        using var ours = stab.nn.BatchNorm1d(3);
        var error = Assert.ThrowsAny<Exception>(() => ours.call(randn(1, 3)));
        Assert.Contains("Expected more than 1 value per channel when training", error.Message);
        ours.eval();
        Assert.False(ours.call(randn(2, 3)).isnan().any().item<bool>());
    }

    [Fact]
    public void A_bfloat16_BatchNorm_stops_counting_at_256_there_and_counts_on_here()
    {
        using var scope = NewDisposeScope();
        using var theirs = nn.BatchNorm1d(1, dtype: ScalarType.BFloat16);
        using var ours = stab.nn.BatchNorm1d(1, dtype: ScalarType.BFloat16);
        var input = tensor(new float[] { 1, 2 }, 2, 1).to(ScalarType.BFloat16);
        for (int i = 0; i < 260; i++)
        {
            using var _ = theirs.call(input);
            using var __ = ours.call(input);
        }
        Assert.Equal(256, theirs.state_dict()["num_batches_tracked"].to(ScalarType.Int64).item<long>());
        Assert.Equal(260, ours.state_dict()["num_batches_tracked"].item<long>());
    }

    [Fact]
    public void A_state_dict_of_the_wrong_shape_is_broadcast_there_and_an_error_here()
    {
        using var scope = NewDisposeScope();
        using var theirs = nn.LayerNorm(4);
        using var ours = stab.nn.LayerNorm(4);
        var wrong = new Dictionary<string, Tensor> { ["weight"] = full([1], 7.0), ["bias"] = zeros(4) };
        theirs.load_state_dict(wrong);
        Assert.True(theirs.weight!.eq(7).all().item<bool>());
        var error = Assert.ThrowsAny<Exception>(() => ours.load_state_dict(wrong));
        Assert.Contains("size mismatch for weight", error.Message);
        Assert.True(ours.weight.eq(1).all().item<bool>());
    }

    [Fact]
    public void Assigning_a_bias_to_itself_destroys_it_there_and_does_nothing_here()
    {
        using var scope = NewDisposeScope();
        using var theirs = nn.BatchNorm1d(3);
        using var ours = stab.nn.BatchNorm1d(3);
        theirs.bias = theirs.bias;
        ours.bias = ours.bias;
        Assert.True(theirs.bias!.IsInvalid);
        Assert.Equal(3, ours.bias!.numel());
    }
}

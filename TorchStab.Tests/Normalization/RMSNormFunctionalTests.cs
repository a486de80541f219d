using TorchStab.Normalization;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchStab.Tests.Support.Refusals;

namespace TorchStab.Tests.Normalization;

public class RMSNormFunctionalTests : InOneForm
{
    public RMSNormFunctionalTests() : base(null) { }

    private protected RMSNormFunctionalTests(KernelForm form) : base(form) { }

    public static TheoryData<int, string, ScalarType> Draws => LayerNormFunctionalTests.Draws;

    // libtorch has rms_norm, TorchSharp does not: held against its formula by libtorch's operations, as PyTorch composes it on the CPU.
    [Theory]
    [MemberData(nameof(Draws))]
    public void Equals_PyTorchs_composition_on_random_shapes_values_and_layouts(int seed, string layout, ScalarType dtype)
    {
        for (int i = 0; i < 5; i++)
        {
            using var scope = NewDisposeScope();
            random.manual_seed(seed + 1000 * i);
            var dice = new Random(seed + 1000 * i);
            int rank = layout == "channels_last" ? 4 : dice.Next(1, 6);
            long[] shape = [.. Enumerable.Range(0, rank).Select(_ => (long)dice.Next(1, 7))];
            long[] normalized = shape[^dice.Next(1, rank + 1)..];
            double? eps = dice.Next(2) == 0 ? null : 1e-3;
            double used = eps ?? RMSNormFunctional.Epsilon(dtype);
            var input = NormArguments.Arrange(shape, layout, dtype);
            var weight = dice.Next(4) == 0 ? null : randn(normalized).to(dtype);
            NormArguments.Of(input, weight).Compare((x, _, _, w, _) => Formula(x, w), (x, _, _, w, _) => stab.nn.functional.rms_norm(x, normalized, w, eps),
                $"{i}", second: dtype == ScalarType.Float64, rounded: true);

            Tensor Formula(Tensor x, Tensor? w)
            {
                var y = x.mul(x.pow(2).mean([.. Enumerable.Range(rank - normalized.Length, normalized.Length).Select(d => (long)d)], keepdim: true)
                    .add(used).rsqrt());
                return w is null ? y : y.mul(w);
            }
        }
    }

    [Theory]
    [InlineData(ScalarType.Float64, 2.220446049250313e-16)]
    [InlineData(ScalarType.Float32, 1.1920928955078125e-07)]
    [InlineData(ScalarType.Float16, 0.0009765625)]
    [InlineData(ScalarType.BFloat16, 0.0078125)]
    public void The_default_eps_is_the_machine_epsilon_of_the_dtype(ScalarType dtype, double eps)
    {
        Assert.Equal(eps, RMSNormFunctional.Epsilon(dtype));
        Assert.Equal(eps, finfo(dtype).eps);
    }

    [Fact]
    public void Wrong_arguments_are_refused_in_PyTorchs_words()
    {
        using var scope = NewDisposeScope();
        Refused("Given normalized_shape=[3], expected input with shape [*, 3], but got input of size[2, 4]", "input",
            () => stab.nn.functional.rms_norm(ones(2, 4), [3]));
        Refused("Expected weight to be of same shape as normalized_shape, but got weight of shape [3] and normalized_shape = [4]", "weight",
            () => stab.nn.functional.rms_norm(ones(2, 4), [4], ones(3)));
        Refused("Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got normalized_shape = []",
            "normalized_shape",
            () => stab.nn.RMSNorm([]));
        Refused("\"rms_norm\" not implemented for 'Long'", "input", () => stab.nn.functional.rms_norm(ones(2, 4, ScalarType.Int64), [4]));
    }
}

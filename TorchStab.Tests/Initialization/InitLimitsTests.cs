using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Initialization;

/// <summary>The last value that a scheme takes, and the first that it refuses, with the tensor as it was.</summary>
public class InitLimitsTests
{
    private const ScalarType Half = ScalarType.Float16, Complex = ScalarType.ComplexFloat32;

    public static TheoryData<string> Fills => [.. Nulls.Keys];

    private static readonly Dictionary<string, Action> Nulls = new()
    {
        ["uniform_"] = () => stab.nn.init.uniform_(null!),
        ["normal_"] = () => stab.nn.init.normal_(null!),
        ["trunc_normal_"] = () => stab.nn.init.trunc_normal_(null!),
        ["constant_"] = () => stab.nn.init.constant_(null!, 3),
        ["ones_"] = () => stab.nn.init.ones_(null!),
        ["zeros_"] = () => stab.nn.init.zeros_(null!),
        ["eye_"] = () => stab.nn.init.eye_(null!),
        ["dirac_"] = () => stab.nn.init.dirac_(null!),
        ["orthogonal_"] = () => stab.nn.init.orthogonal_(null!),
        ["delta_orthogonal_"] = () => stab.nn.init.delta_orthogonal_(null!),
        ["sparse_"] = () => stab.nn.init.sparse_(null!, 0.5),
        ["xavier_normal_"] = () => stab.nn.init.xavier_normal_(null!),
        ["kaiming_uniform_"] = () => stab.nn.init.kaiming_uniform_(null!),
        ["kaiming_normal_"] = () => stab.nn.init.kaiming_normal_(null!),
        ["variance_scaling_"] = () => stab.nn.init.variance_scaling_(null!),
        ["calculate_fan_in_and_fan_out"] = () => stab.nn.init.calculate_fan_in_and_fan_out(null!),
    };

    private static readonly Dictionary<string, (ScalarType dtype, string argument, string words, Action<Tensor> call)> Refusals = new()
    {
        ["gain of orthogonal_"] = (Half, "gain", "value cannot be converted to type c10::Half without overflow: got 65536",
            t => stab.nn.init.orthogonal_(t, 65536)),
        ["gain of delta_orthogonal_"] = (Half, "gain", "without overflow", t => stab.nn.init.delta_orthogonal_(t, -65536)),
        ["int delta_orthogonal_"] = (ScalarType.Int32, "tensor", "not implemented for 'Int'", t => stab.nn.init.delta_orthogonal_(t)),
        ["short orthogonal_"] = (ScalarType.Int16, "tensor", "not implemented for 'Short'", t => stab.nn.init.orthogonal_(t)),
        ["char normal_"] = (ScalarType.Int8, "tensor", "not implemented for 'Char'", t => stab.nn.init.normal_(t)),
        ["bool uniform_"] = (ScalarType.Bool, "tensor", "not implemented for 'Bool'", t => stab.nn.init.uniform_(t)),
        ["complex orthogonal_"] = (Complex, "tensor", "torch.sign is not intended to support complex numbers", t => stab.nn.init.orthogonal_(t)),
        ["complex trunc_normal_"] = (Complex, "tensor", "\"erfinv\" not implemented", t => stab.nn.init.trunc_normal_(t)),
        ["-inf std"] = (ScalarType.Float32, "std", "std must be finite, got -inf", t => stab.nn.init.trunc_normal_(t, 0, double.NegativeInfinity)),
        ["std of trunc_normal_"] = (Half, "std", "without overflow", t => stab.nn.init.trunc_normal_(t, 0, 60000)),
        ["mean of trunc_normal_"] = (Half, "mean", "without overflow: got 70000", t => stab.nn.init.trunc_normal_(t, 70000, 1)),
        ["a of trunc_normal_"] = (Half, "a", "without overflow: got -70000", t => stab.nn.init.trunc_normal_(t, 0, 1, -70000, 1)),
        ["b of trunc_normal_"] = (Half, "b", "without overflow: got 70000", t => stab.nn.init.trunc_normal_(t, 0, 1, -1, 70000)),
        ["a of uniform_"] = (Half, "a", "from is out of bounds for c10::Half: got -65505", t => stab.nn.init.uniform_(t, -65505, 0)),
        ["b of uniform_"] = (ScalarType.BFloat16, "b", "to is out of bounds for c10::BFloat16", t => stab.nn.init.uniform_(t, 0, 3.4e38)),
        ["double uniform_"] = (ScalarType.Float64, "b", "to is out of bounds for double: got inf", t => stab.nn.init.uniform_(t, 0, double.PositiveInfinity)),
        ["scale"] = (ScalarType.Float32, "scale", "Received: scale=inf", t => stab.nn.init.variance_scaling_(t, double.PositiveInfinity)),
    };

    public static TheoryData<string> Cases => [.. Refusals.Keys];

    [Theory, MemberData(nameof(Fills))]
    public void A_missing_tensor_is_named(string fill) => Assert.Equal("tensor", Assert.Throws<ArgumentNullException>(Nulls[fill]).ParamName);

    [Theory, MemberData(nameof(Cases))]
    public void What_does_not_fit_the_dtype_is_refused_before_a_write(string name)
    {
        using var scope = NewDisposeScope();
        var (dtype, argument, words, call) = Refusals[name];
        var tensor = ones(4, 2, 3, dtype);
        var error = Assert.Throws<ArgumentException>(argument, () => call(tensor));
        Assert.Contains(words, error.Message, StringComparison.Ordinal);
        Assert.True(tensor.eq(ones(4, 2, 3, dtype)).all().item<bool>());
    }

    [Fact]
    public void The_largest_numbers_of_a_dtype_are_taken()
    {
        using var scope = NewDisposeScope();
        manual_seed(6);
        var half = empty(8, 8, Half);
        foreach (var filled in new[]
        {
            stab.nn.init.uniform_(half, -65504, 0).clone(), stab.nn.init.uniform_(half, 0, 65504).clone(), stab.nn.init.orthogonal_(half, 65504).clone(),
            stab.nn.init.trunc_normal_(half, 0, 46000, -65504, 65504).clone(),
        }) Assert.True(filled.isfinite().all().item<bool>() && filled.std().item<Half>() > (System.Half)0);
        Assert.Equal(1, stab.nn.init.trunc_normal_(empty(100, 100, ScalarType.Float64), 0, 1, double.NegativeInfinity, double.PositiveInfinity).std()
            .item<double>(), 0.1);
        Compare.Identical(full(2, 3, 1.5f), stab.nn.init.uniform_(empty(2, 3), 1.5, 1.5), "an empty interval");
        Compare.Identical(full(2, 3, -4f), stab.nn.init.normal_(empty(2, 3), -4, 0), "no deviation");
        Compare.Identical(zeros(2, 3), stab.nn.init.sparse_(empty(2, 3), 1), "all zeros");
        Assert.Equal(6, stab.nn.init.sparse_(empty(2, 3), 0, 1).count_nonzero().item<long>());
    }

    [Theory]
    [InlineData(0, 2, 0)]
    [InlineData(2, 0, 0)]
    [InlineData(0, 2, 3)]
    [InlineData(2, 0, 3)]
    public void A_kernel_of_nothing_needs_no_centre(long rows, long columns, long size)
    {
        using var scope = NewDisposeScope();
        Assert.Equal([rows, columns, size], stab.nn.init.dirac_(empty(rows, columns, size)).shape);
    }

    [Theory]
    [InlineData(5, 5)]
    [InlineData(3, 7)]
    [InlineData(7, 3)]
    public void Orthogonal_is_Q_of_the_drawn_matrix_tall_and_square_as_it_is_wide_transposed(long rows, long columns)
    {
        using var scope = NewDisposeScope();
        using var one = new Generator(9);
        using var two = new Generator(9);
        var drawn = empty(rows, columns, ScalarType.Float64).normal_(0, 1, one);
        var (q, r) = linalg.qr(rows < columns ? drawn.t() : drawn);
        var expected = q * r.diagonal().sign();
        Compare.Close(rows < columns ? expected.t() : expected,
            stab.nn.init.orthogonal_(empty(rows, columns, ScalarType.Float64), generator: two), "as PyTorch's");
    }
}

using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Initialization;

/// <summary>Every refusal: PyTorch's words, the argument's name, and a tensor that keeps what it held.</summary>
public class InitArgumentsTests
{
    public static TheoryData<string, string, string> Refusals
    {
        get
        {
            var data = new TheoryData<string, string, string>();
            foreach (var (call, (_, argument, words)) in Calls) data.Add(call, argument, words);
            return data;
        }
    }

    private const string FewDimensions = "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions";
    private const string Ranks = "Only tensors with 3, 4, or 5 dimensions are supported";
    private static readonly Tensor Vector = Sevens(5), Square = Sevens(2, 2), Cube = Sevens(6, 4, 3), Whole = Sevens(2, 2).to(ScalarType.Int64);

    private static readonly Dictionary<string, (Func<Tensor> call, string argument, string words)> Calls = new()
    {
        ["xavier_uniform_ 1-D"] = (() => stab.nn.init.xavier_uniform_(Vector), "tensor", FewDimensions),
        ["xavier_normal_ 1-D"] = (() => stab.nn.init.xavier_normal_(Vector), "tensor", FewDimensions),
        ["kaiming_uniform_ 1-D"] = (() => stab.nn.init.kaiming_uniform_(Vector), "tensor", FewDimensions),
        ["kaiming_normal_ 1-D"] = (() => stab.nn.init.kaiming_normal_(Vector), "tensor", FewDimensions),
        ["lecun_normal_ 1-D"] = (() => stab.nn.init.lecun_normal_(Vector), "tensor", FewDimensions),
        ["variance_scaling_ 1-D"] = (() => stab.nn.init.variance_scaling_(Vector), "tensor", FewDimensions),
        ["variance_scaling_ scale"] = (() => stab.nn.init.variance_scaling_(Square, 0), "scale", "Argument `scale` must be positive float. Received: scale=0"),
        ["variance_scaling_ mode"] = (() => stab.nn.init.variance_scaling_(Square, 1, (FanMode)9), "mode", "Mode 9 not supported"),
        ["variance_scaling_ distribution"] =
            (() => stab.nn.init.variance_scaling_(Square, 1, FanMode.FanIn, (InitDistribution)9), "distribution", "Unknown distribution 9"),
        ["kaiming_uniform_ mode"] = (() => stab.nn.init.kaiming_uniform_(Square, 0, FanMode.FanAvg),
            "mode", "Mode fan_avg not supported, please use one of ['fan_in', 'fan_out']"),
        ["kaiming_normal_ function"] =
            (() => stab.nn.init.kaiming_normal_(Square, nonlinearity: (Nonlinearity)99), "nonlinearity", "Unsupported nonlinearity 99"),
        ["xavier_normal_ gain"] = (() => stab.nn.init.xavier_normal_(Square, -1), "gain", "normal expects std >= 0.0, but found std -0.707107"),
        ["xavier_uniform_ gain"] = (() => stab.nn.init.xavier_uniform_(Square, -1),
            "gain", "uniform_ expects to return a [from, to) range, but found from=1.22474 > to=-1.22474"),
        ["normal_ std"] = (() => stab.nn.init.normal_(Square, 0, -1), "std", "normal expects std >= 0.0, but found std -1"),
        ["normal_ NaN"] = (() => stab.nn.init.normal_(Square, 0, double.NaN), "std", "normal expects std >= 0.0, but found std nan"),
        ["normal_ int"] = (() => stab.nn.init.normal_(Whole), "tensor", "\"normal_kernel_cpu\" not implemented for 'Long'"),
        ["uniform_ int"] = (() => stab.nn.init.uniform_(Whole), "tensor", "\"check_uniform_bounds\" not implemented for 'Long'"),
        ["uniform_ bounds"] = (() => stab.nn.init.uniform_(Square, 2, 1), "a", "uniform_ expects to return a [from, to) range, but found from=2 > to=1"),
        ["uniform_ from"] = (() => stab.nn.init.uniform_(Square, double.NaN, 1), "a", "from is out of bounds for float"),
        ["uniform_ to"] = (() => stab.nn.init.uniform_(Square, 0, 1e300), "b", "to is out of bounds for float"),
        ["uniform_ width"] = (() => stab.nn.init.uniform_(Square, -3e38, 3e38), "b",
            "uniform_ expects to-from <= std::numeric_limits<Float>::max(), but found to=3e+38 and from=-3e+38 which result in to-from to exceed the limit"),
        ["trunc_normal_ std 0"] = (() => stab.nn.init.trunc_normal_(Square, 0, 0), "std", "float division by zero"),
        ["trunc_normal_ std"] = (() => stab.nn.init.trunc_normal_(Square, 0, -1),
            "std", "uniform_ expects to return a [from, to) range, but found from=0.9545 > to=-0.9545"),
        ["trunc_normal_ bounds"] = (() => stab.nn.init.trunc_normal_(Square, 0, 1, 1, -1), "a", "uniform_ expects to return a [from, to) range"),
        ["trunc_normal_ mean"] = (() => stab.nn.init.trunc_normal_(Square, double.NaN), "mean", "mean must be finite"),
        ["trunc_normal_ std infinite"] = (() => stab.nn.init.trunc_normal_(Square, 0, double.PositiveInfinity), "std", "std must be finite, got inf"),
        ["eye_ rank"] = (() => stab.nn.init.eye_(Cube), "tensor", "Only tensors with 2 dimensions are supported"),
        ["sparse_ rank"] = (() => stab.nn.init.sparse_(Cube, 0.5), "tensor", "Only tensors with 2 dimensions are supported"),
        ["sparse_ fraction"] = (() => stab.nn.init.sparse_(Square, 1.5), "sparsity", "from 0 to 1"),
        ["sparse_ std"] = (() => stab.nn.init.sparse_(Square, 0.5, -1), "std", "normal expects std >= 0.0, but found std -1"),
        ["dirac_ rank"] = (() => stab.nn.init.dirac_(Square), "tensor", Ranks),
        ["dirac_ groups"] = (() => stab.nn.init.dirac_(Cube, 4), "groups", "dim 0 must be divisible by groups"),
        ["dirac_ no groups"] = (() => stab.nn.init.dirac_(Cube, 0), "groups", "groups must be at least 1, got 0"),
        ["orthogonal_ rank"] = (() => stab.nn.init.orthogonal_(Vector), "tensor", "Only tensors with 2 or more dimensions are supported"),
        ["orthogonal_ int"] = (() => stab.nn.init.orthogonal_(Whole), "tensor", "\"normal_kernel_cpu\" not implemented for 'Long'"),
        ["delta_orthogonal_ rank"] = (() => stab.nn.init.delta_orthogonal_(Square), "tensor", Ranks),
        ["null"] = (() => stab.nn.init.xavier_uniform_(null!), "tensor", ""),
    };

    [Theory, MemberData(nameof(Refusals))]
    public void Refusal_names_the_argument_and_leaves_the_tensor(string call, string argument, string words)
    {
        manual_seed(3);
        var error = Assert.ThrowsAny<ArgumentException>(() => Calls[call].call());
        Assert.Equal(argument, error.ParamName);
        Assert.Contains(words, error.Message, StringComparison.Ordinal);
        using var scope = NewDisposeScope();
        foreach (var tensor in new[] { Vector, Square, Cube, Whole }) Assert.True(tensor.eq(7).all().item<bool>());
        var next = rand(3);
        manual_seed(3);
        Compare.Identical(rand(3), next, "the stream");
    }

    [Fact]
    public void Kernel_without_a_centre_is_refused_by_dirac()
    {
        using var w = empty(2, 2, 0);
        var error = Assert.Throws<ArgumentException>("tensor", () => stab.nn.init.dirac_(w));
        Assert.Contains("index 0 is out of bounds for dimension 2 with size 0", error.Message, StringComparison.Ordinal);
    }

    private static Tensor Sevens(params long[] shape) => full(shape, 7.0f).DetachFromDisposeScope();
}

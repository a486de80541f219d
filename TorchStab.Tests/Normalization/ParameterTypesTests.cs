using System.Runtime.InteropServices;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace TorchStab.Tests.Normalization;

/// <summary>Which dtypes go together, and the words for those that don't, as libtorch says in the same process.</summary>
public class ParameterTypesTests
{
    private static readonly ScalarType[] Dtypes =
        [ScalarType.Float64, ScalarType.Float32, ScalarType.BFloat16, ScalarType.Float16, ScalarType.Int64, ScalarType.Int32, ScalarType.Bool];

    public static TheoryData<ScalarType, ScalarType?, ScalarType?> Combinations
    {
        get
        {
            var data = new TheoryData<ScalarType, ScalarType?, ScalarType?>();
            foreach (var input in Dtypes)
                foreach (ScalarType? weight in (ScalarType?[])[null, .. Dtypes[..5]])
                    foreach (ScalarType? bias in (ScalarType?[])[null, .. Dtypes[..5]]) data.Add(input, weight, bias);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Combinations))]
    public void Layer_norm_takes_what_libtorch_takes(ScalarType input, ScalarType? weight, ScalarType? bias) => Same(input, weight, bias,
        (x, w, b) => stab.nn.functional.layer_norm(x, [4], w, b), (x, w, b) => F.layer_norm(x, [4], w, b));

    [Theory]
    [MemberData(nameof(Combinations))]
    public void Group_norm_takes_what_libtorch_takes(ScalarType input, ScalarType? weight, ScalarType? bias) => Same(input, weight, bias,
        (x, w, b) => stab.nn.functional.group_norm(x, 2, w, b), (x, w, b) => F.group_norm(x, 2, w, b));

    private static void Same(ScalarType input, ScalarType? weight, ScalarType? bias, Func<Tensor, Tensor?, Tensor?, Tensor> ours,
        Func<Tensor, Tensor?, Tensor?, Tensor> theirs)
    {
        using var scope = NewDisposeScope();
        Tensor x = ones(2, 4, 4).to(input);
        Tensor? w = weight is { } wd ? ones(4).to(wd) : null, b = bias is { } bd ? ones(4).to(bd) : null;
        string? refused = null;
        ScalarType dtype = default;
        try
        {
            dtype = theirs(x, w, b).dtype;
        }
        catch (ExternalException e)
        {
            refused = e.Message.Split('\n')[0];
        }
        if (refused is null)
            Assert.Equal(dtype, ours(x, w, b).dtype);
        else
            Assert.Contains(refused, Assert.ThrowsAny<ArgumentException>(() => ours(x, w, b)).Message, StringComparison.Ordinal);
    }
}

using System.Text.RegularExpressions;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>What a module is to an initializer, told by its type or, where several libraries have one, by its parameters.</summary>
internal static partial class LayerKind
{
    /// <summary>Normalization of any library: a type called so, with a scale and a shift at most.</summary>
    public static bool IsNorm(nn.Module module) =>
        NormName().IsMatch(module.GetType().Name) && module.named_parameters(false).All(p => p.name is "weight" or "bias");

    /// <summary>Input and recurrent matrices, whatever the cell around them.</summary>
    public static bool IsRecurrent(nn.Module module)
    {
        var names = module.named_parameters(false).Select(p => p.name).ToList();
        return names.Exists(IsInputMatrix) && names.Exists(IsRecurrentMatrix);
    }

    public static bool IsInputMatrix(string parameter) => parameter.StartsWith("weight_ih", StringComparison.Ordinal);

    public static bool IsRecurrentMatrix(string parameter) => parameter.StartsWith("weight_hh", StringComparison.Ordinal);

    /// <summary>TorchSharp's attention and transformer modules, which show libtorch's parameters and no children.</summary>
    public static bool IsAttention(nn.Module module) => module is MultiheadAttention or Transformer
        or TransformerEncoder or TransformerEncoderLayer or TransformerDecoder or TransformerDecoderLayer;

    public static bool IsLinearOrConvolution(nn.Module module) => module is Linear or Convolution;

    /// <summary>The fans as the layer really connects.</summary>
    public static (long fan_in, long fan_out) Fans(nn.Module module, Tensor weight) => module is Convolution convolution
        ? Fan.Of(weight, convolution.groups, convolution.transposed) : Fan.Of(weight);

    [GeneratedRegex(@"norm(relu)?(\dd)?$", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex NormName();
}

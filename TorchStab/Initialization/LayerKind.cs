using TorchSharp.Modules;
using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>What a module is to an initializer, told by its type or, where several libraries have one, by its parameters.</summary>
internal static class LayerKind
{
    /// <summary>Normalization of any library: by its type, and of types that nobody knows what <see cref="NormByName"/> takes for one.</summary>
    public static bool IsNorm(nn.Module module) => IsKnownNorm(module) || NormByName.Is(module);

    /// <summary>Normalization of this library or of torch.nn.</summary>
    public static bool IsKnownNorm(nn.Module module) =>
        module is AffineModule or TorchSharp.Modules.NormBase or TorchSharp.Modules.LayerNorm or TorchSharp.Modules.GroupNorm or LocalResponseNorm;

    /// <summary>Normalization of channels, which convolutional networks put between a layer and its activation.</summary>
    public static bool IsChannelNorm(nn.Module module) =>
        module is TorchStab.Modules.NormBase or TorchStab.Modules.GroupNorm or TorchSharp.Modules.NormBase or TorchSharp.Modules.GroupNorm;

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

    /// <summary>Passes its input on, scaled, thinned or reshaped: a norm, and what of torch.nn has no weights.</summary>
    public static bool IsTransparent(nn.Module module) => IsNorm(module) ? !module.children().Any()
        : module.GetType().Namespace == "TorchSharp.Modules" && !IsChain(module) && !module.parameters().Any();

    /// <summary>Runs its children one after the other, and shows by their order what follows what.</summary>
    public static bool IsChain(nn.Module module) =>
        module is Sequential || (module.GetType().BaseType is { IsGenericType: true } b && b.Name.StartsWith("Sequential`", StringComparison.Ordinal));

    /// <summary>The fans as the layer really connects.</summary>
    public static (long fan_in, long fan_out) Fans(nn.Module module, Tensor weight) => module is Convolution convolution
        ? Fan.Of(weight, convolution.groups, convolution.transposed) : Fan.Of(weight);
}

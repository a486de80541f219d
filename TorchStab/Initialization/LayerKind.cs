using TorchSharp.Modules;
using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>The kind of a layer, by the type of the module or, for modules of other libraries, by its parameters.</summary>
internal static class LayerKind
{
    /// <summary>Whether a module is a normalization: of this library, of torch.nn, or a user's that <see cref="NormByName"/> recognizes.</summary>
    public static bool IsNorm(nn.Module module) =>
        module is not Parametrization && (IsKnownNorm(module) || NormByName.Is(module));

    /// <summary>Whether a module is a normalization of this library or of torch.nn.</summary>
    public static bool IsKnownNorm(nn.Module module) =>
        module is AffineModule or TorchSharp.Modules.NormBase or TorchSharp.Modules.LayerNorm or TorchSharp.Modules.GroupNorm or LocalResponseNorm;

    /// <summary>Whether a module normalizes channels; convolutional networks place such norms between a layer and its activation.</summary>
    public static bool IsChannelNorm(nn.Module module) =>
        module is TorchStab.Modules.NormBase or TorchStab.Modules.GroupNorm or TorchSharp.Modules.NormBase or TorchSharp.Modules.GroupNorm;

    /// <summary>Whether a module has input and recurrent matrices, as any recurrent cell does.</summary>
    public static bool IsRecurrent(nn.Module module)
    {
        var names = Parameters(module).Select(p => p.Name).ToList();
        return names.Exists(IsInputMatrix) && names.Exists(IsRecurrentMatrix);
    }

    public static bool IsInputMatrix(string parameter) => parameter.StartsWith("weight_ih", StringComparison.Ordinal);

    public static bool IsRecurrentMatrix(string parameter) => parameter.StartsWith("weight_hh", StringComparison.Ordinal);

    /// <summary>Whether a module is one of TorchSharp's attention and transformer modules, which have libtorch's parameters and no children.</summary>
    public static bool IsAttention(nn.Module module) => module is MultiheadAttention or Transformer
        or TransformerEncoder or TransformerEncoderLayer or TransformerDecoder or TransformerDecoderLayer;

    public static bool IsLinearOrConvolution(nn.Module module) => Layer(module) is Linear or Convolution;

    /// <summary>The layer itself, or that whose weight a <see cref="Parametrized"/> computes.</summary>
    public static nn.Module Layer(nn.Module module) => module is Parametrized p ? p.Layer : module;

    /// <summary>
    /// A module's own parameters, by the names that its layer has for them; in the place of a weight that is computed the parameter of its shape, with its key.
    /// </summary>
    public static IEnumerable<(string Name, string Key, Parameter Parameter)> Parameters(nn.Module module)
    {
        if (module is Parametrization) yield break; // its layer has named them
        foreach (var (name, parameter) in module.named_parameters(false)) yield return (name, name, parameter);
        if (module is not IParametrized computes) yield break;
        foreach (var (name, p) in computes.Parametrizations) yield return (name, $"{ParametrizationTable.Key}.{name}.{p.MatrixName}", p.Matrix);
    }

    /// <summary>The weight of a linear layer or convolution, or what it is computed from.</summary>
    public static Parameter Weight(nn.Module layer) => Parameters(layer).First(p => p.Name == "weight").Parameter;

    /// <summary>How the module computes that weight; null where it is a parameter.</summary>
    public static Parametrization? ComputationOf(nn.Module module, string weight) =>
        (module as IParametrized)?.Parametrizations.FirstOrDefault(p => p.Name == weight).Parametrization;

    /// <summary>Whether a module only scales, drops, pools or reshapes its input: a norm, or a module of torch.nn without weights.</summary>
    public static bool IsTransparent(nn.Module module) => IsNorm(module) ? !module.children().Any()
        : module.GetType().Namespace == "TorchSharp.Modules" && !IsChain(module) && !module.parameters().Any();

    /// <summary>Whether a module runs its children one after the other, in their order.</summary>
    public static bool IsChain(nn.Module module) =>
        module is Sequential || (module.GetType().BaseType is { IsGenericType: true } b && b.Name.StartsWith("Sequential`", StringComparison.Ordinal));

    /// <summary>The real fans of a layer, with its groups and transposition.</summary>
    public static (long fan_in, long fan_out) Fans(nn.Module module, Tensor weight) => Layer(module) is Convolution convolution
        ? Fan.Of(weight, convolution.groups, convolution.transposed) : Fan.Of(weight);
}

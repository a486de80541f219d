using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Clipping;

/// <summary>
/// Checks that a gradient fits its parameter. PyTorch checks this when <c>.grad</c> is set; TorchSharp's setter accepts any tensor, so TorchStab
/// checks when it reads gradients.
/// </summary>
internal static class GradientCheck
{
    /// <summary>Why a gradient does not fit the parameter, in PyTorch's words; null if it fits. Another floating dtype fits: it is converted.</summary>
    public static string? WhyNot(Tensor parameter, Tensor gradient, string name)
    {
        if (gradient.is_sparse) return Sparse(name);
        if (!gradient.is_floating_point()) return Differs(name, "of a different type", $"a floating dtype as {parameter.dtype}", $"{gradient.dtype}");
        if (!TensorShape.Same(gradient, parameter)) return Differs(name, "of a different size", Repr.List(parameter.shape), Repr.List(gradient.shape));
        return gradient.device_type == parameter.device_type && gradient.device_index == parameter.device_index ? null
            : Differs(name, "located on a different device", $"{parameter.device}", $"{gradient.device}");
    }

    /// <summary>Returns the gradient, or refuses a sparse one: clipping and updates work on every element.</summary>
    public static Tensor Dense(Tensor gradient, string name) => !gradient.is_sparse ? gradient : throw new InvalidOperationException(Sparse(name));

    private static string Sparse(string name) => $"The gradient of {name} is sparse; TorchStab clips and steps dense gradients only. " +
        "Build the embedding with sparse: false, or clip and step it with an optimizer of its own.";

    private static string Differs(string name, string how, string expected, string got) => $"The gradient of {name}: assigned grad has data {how}: expected " +
        $"{expected}, got {got}. Nothing was changed; set a gradient that fits, or null.";
}

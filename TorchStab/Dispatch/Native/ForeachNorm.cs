using TorchSharp;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Norms of many tensors by libtorch's operation on lists: a few launches on a GPU instead of one for each tensor. The operation takes its order as a Scalar,
/// which the stable C interface does not have, so TorchScript calls it.
/// </summary>
internal static class ForeachNorm
{
    // Constant text: an error in it would end the process. Half types are measured in float32 (6): the norm of 60,000 elements of 300 is infinite in float16.
    private const string Script = """
        def norms(tensors: List[Tensor], order: float):
            return torch.stack(torch._foreach_norm(tensors, order))

        def wide_norms(tensors: List[Tensor], order: float):
            return torch.stack(torch._foreach_norm(tensors, order, dtype=6))

        """;

    private static readonly Lazy<jit.CompilationUnit> Compiled = new(() => jit.compile(Script.ReplaceLineEndings("\n")));

    /// <summary>Whether libtorch's operation measures this tensor on its device.</summary>
    public static bool Takes(Tensor tensor) => KernelSelection.WantsNative(tensor.device_type) && tensor.numel() > 0;

    /// <summary>‖t‖ₚ of tensors of one device and dtype, in one tensor on their device that the current DisposeScope owns.</summary>
    public static Tensor Of(Tensor[] tensors, double order)
    {
        string name = tensors[0].dtype is ScalarType.Float32 or ScalarType.Float64 ? "norms" : "wide_norms";
        // Given a double, TorchSharp makes a Scalar that nobody holds: its finalizer may free it before libtorch reads it.
        using var scalar = order.ToScalar();
        return (Tensor)Compiled.Value.invoke(name, tensors, scalar);
    }
}

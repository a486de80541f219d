using static TorchSharp.torch;

namespace TorchStab.Optimization;

/// <summary>Creates the tensors of optimizer state: the only code that decides where they are allocated.</summary>
internal static class MomentStorage
{
    /// <summary>
    /// The default dtype of moments: the parameter's, and float32 for float16 and bfloat16. In float16 the square of 300 is infinite and that of 1e-4 is 0;
    /// in bfloat16 a running mean with decay 0.999 does not change.
    /// </summary>
    public static ScalarType DtypeFor(Tensor parameter) => IsHalf(parameter) ? ScalarType.Float32 : parameter.dtype;

    /// <summary>Whether the tensor has a half-precision dtype: float16 or bfloat16.</summary>
    public static bool IsHalf(Tensor tensor) => tensor.dtype is ScalarType.Float16 or ScalarType.BFloat16;

    /// <summary>Zeros with the shape and device of <paramref name="like"/>, outside every DisposeScope and every graph.</summary>
    public static Tensor Zeros(Tensor like, ScalarType dtype)
    {
        using var _ = no_grad();
        using var normal = inference_mode(false); // an inference tensor cannot be updated outside inference mode
        return zeros_like(like, dtype: dtype).DetachFromDisposeScope();
    }

    /// <summary>Converts a moment to another device or dtype and disposes <paramref name="moment"/>; returns it unchanged if it has both already.</summary>
    public static Tensor Moved(Tensor moment, ScalarType dtype, Device device)
    {
        using var normal = inference_mode(false);
        var moved = moment.to(dtype, device);
        if (ReferenceEquals(moment, moved)) return moment;
        moment.Dispose(); // if nothing changes, .to() returns the same native tensor with a new handle
        return moved.DetachFromDisposeScope();
    }

    /// <summary>A copy of <paramref name="source"/> on the device of the parameter <paramref name="like"/>.</summary>
    public static Tensor Copy(Tensor source, Tensor like, ScalarType dtype)
    {
        using var normal = inference_mode(false);
        using var _ = no_grad(); // after it, because inference_mode(false) also turns gradients on, and a parameter would get a graph
        return source.to(dtype, like.device, copy: true).DetachFromDisposeScope();
    }
}

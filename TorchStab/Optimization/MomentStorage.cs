using static TorchSharp.torch;

namespace TorchStab.Optimization;

/// <summary>Makes the tensors that optimizer state consists of: the one place that knows where they live.</summary>
internal static class MomentStorage
{
    /// <summary>Zeros shaped as <paramref name="like"/>, on its device, of its dtype unless given, outside every DisposeScope and every graph.</summary>
    public static Tensor Zeros(Tensor like, ScalarType? dtype)
    {
        using var _ = no_grad();
        return zeros_like(like, dtype: dtype).DetachFromDisposeScope();
    }

    /// <summary>A copy of <paramref name="source"/> for the parameter <paramref name="like"/>: on its device, of its dtype unless given.</summary>
    public static Tensor Copy(Tensor source, Tensor like, ScalarType? dtype)
    {
        using var _ = no_grad();
        return source.to(dtype ?? like.dtype, like.device, copy: true).DetachFromDisposeScope();
    }
}

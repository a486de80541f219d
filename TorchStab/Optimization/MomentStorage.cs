using static TorchSharp.torch;

namespace TorchStab.Optimization;

/// <summary>Makes the tensors that optimizer state consists of: the one place that knows where they live.</summary>
internal static class MomentStorage
{
    /// <summary>
    /// The dtype of moments where none is asked for: the parameter's, and float32 for half types. A float16 square of 300 is infinite and one of 1e-4 is 0;
    /// a bfloat16 mean of 0.999 parts of the past stands still.
    /// </summary>
    public static ScalarType DtypeFor(Tensor parameter) => parameter.dtype is ScalarType.Float16 or ScalarType.BFloat16 ? ScalarType.Float32 : parameter.dtype;

    /// <summary>Zeros shaped as <paramref name="like"/>, on its device, outside every DisposeScope and every graph.</summary>
    public static Tensor Zeros(Tensor like, ScalarType dtype)
    {
        using var _ = no_grad();
        using var normal = inference_mode(false); // an inference tensor could not be updated outside inference mode
        return zeros_like(like, dtype: dtype).DetachFromDisposeScope();
    }

    /// <summary>The moment on another device or of another dtype; <paramref name="moment"/> itself where nothing changes, else it is disposed.</summary>
    public static Tensor Moved(Tensor moment, ScalarType dtype, Device device)
    {
        using var normal = inference_mode(false);
        var moved = moment.to(dtype, device);
        if (ReferenceEquals(moment, moved)) return moment;
        moment.Dispose(); // .to() returns the same native tensor under a new handle where nothing changes
        return moved.DetachFromDisposeScope();
    }

    /// <summary>A copy of <paramref name="source"/> for the parameter <paramref name="like"/>: on its device.</summary>
    public static Tensor Copy(Tensor source, Tensor like, ScalarType dtype)
    {
        using var _ = no_grad();
        using var normal = inference_mode(false);
        return source.to(dtype, like.device, copy: true).DetachFromDisposeScope();
    }
}

using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchStab.Clipping;

/// <summary>Finds out, without writing, whether libtorch allows a tensor to be written in place.</summary>
internal static class Writable
{
    /// <summary>Why libtorch would refuse to write the tensor in place, in its words; null if it would not.</summary>
    public static string? WhyNot(Tensor tensor)
    {
        if (Overlaps(tensor)) return Shared;
        return !is_inference_mode_enabled() && IsInference(tensor) ? Locked : null;
    }

    /// <summary>PyTorch's words for a tensor whose elements share memory.</summary>
    public const string Shared = "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
        + "Please clone() the tensor before performing the operation.";

    /// <summary>PyTorch's words for an inference tensor outside inference mode.</summary>
    public const string Locked = "Inplace update to inference tensor outside InferenceMode is not allowed. "
        + "You can make a clone to get a normal tensor before doing inplace update.";

    /// <summary>
    /// Whether the tensor was made in inference mode. TorchSharp has no function for this; but outside that mode, only such a tensor among the floating
    /// ones refuses to require a gradient.
    /// </summary>
    public static bool IsInference(Tensor tensor)
    {
        using var _ = inference_mode(false);
        bool before = tensor.requires_grad;
        try
        {
            tensor.requires_grad = true;
            tensor.requires_grad = before;
            return false;
        }
        catch (ExternalException)
        {
            return true;
        }
    }

    /// <summary>Whether elements share memory, as those of an expanded tensor do.</summary>
    public static bool Overlaps(Tensor tensor)
    {
        if (tensor.is_contiguous()) return false;
        long[] sizes = tensor.shape, strides = tensor.stride();
        for (int d = 0; d < sizes.Length; d++)
            if (sizes[d] > 1 && strides[d] == 0) return tensor.numel() > 0;
        return false;
    }
}

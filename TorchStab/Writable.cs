using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab;

/// <summary>Finds out, without writing, whether libtorch allows a tensor to be written in place, so that it does not throw half-way.</summary>
internal static class Writable
{
    /// <summary>PyTorch's words for a tensor whose elements share memory.</summary>
    public const string Shared = "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
        + "Please clone() the tensor before performing the operation.";

    /// <summary>PyTorch's words for an inference tensor outside inference mode.</summary>
    public const string Locked = "Inplace update to inference tensor outside InferenceMode is not allowed. "
        + "You can make a clone to get a normal tensor before doing inplace update.";

    /// <summary>Why libtorch would refuse to write the tensor in place, in its words; null if it would not.</summary>
    public static string? WhyNot(Tensor tensor) => Overlaps(tensor) ? Shared : IsLocked(tensor) ? Locked : null;

    /// <summary>Whether the tensor was made in inference mode and this is not that mode.</summary>
    public static bool IsLocked(Tensor tensor) => !is_inference_mode_enabled() && AutogradLibrary.IsInference(tensor);

    /// <summary>Whether elements share memory, as those of an expanded tensor do.</summary>
    public static bool Overlaps(Tensor tensor)
    {
        if (tensor.is_contiguous()) return false;
        long[] sizes = tensor.shape, strides = tensor.stride();
        for (int d = 0; d < sizes.Length; d++)
            if (sizes[d] > 1 && strides[d] == 0) return tensor.numel() > 0;
        return false;
    }

    /// <summary>Throws if operations on <paramref name="input"/> cannot write a tensor; null is accepted.</summary>
    public static void Require(Tensor? state, string name, Tensor input)
    {
        if (state is not null && (state.device_type != input.device_type || state.device_index != input.device_index))
            throw new ArgumentException($"Expected all tensors to be on the same device, but {name} is on {state.device} and input on {input.device}: "
                + "move one with .to(device)", name);
        Require(state, name);
    }

    /// <summary>Throws if a tensor cannot be written; null is accepted.</summary>
    public static void Require(Tensor? state, string name)
    {
        if (state is null) return;
        if (state.is_sparse) throw new ArgumentException($"{name} is sparse, which no running average can be: make it dense with .to_dense()", name);
        if (Overlaps(state))
            throw new ArgumentException($"unsupported operation: more than one element of the written-to tensor refers to a single memory location; {name} is "
                + "expanded: give it memory of its own with .clone()", name);
        if (IsLocked(state)) throw new ArgumentException($"{name} cannot be written: {Locked}", name);
    }

    /// <summary>Throws if 1 cannot be added to a tensor.</summary>
    public static void RequireCounter(Tensor counter, string name)
    {
        if (counter.dtype == ScalarType.Bool) throw new ArgumentException($"{name} is Bool, which counts to 1: make it int64 with .to(ScalarType.Int64)", name);
        Require(counter, name);
    }
}

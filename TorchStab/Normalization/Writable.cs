using System.Runtime.InteropServices;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>Checks that state can be written in place, so that libtorch does not throw half-way.</summary>
internal static class Writable
{
    /// <summary>Throws if operations on <paramref name="input"/> cannot write a tensor. Call it under no_grad.</summary>
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
        if (Refusal(state) is { } refusal) throw new ArgumentException($"{name} cannot be written: {refusal.Message}", name, refusal);
    }

    /// <summary>Why libtorch does not write a strided tensor in place: it is an inference tensor; null if it does.</summary>
    public static ExternalException? Refusal(Tensor state)
    {
        if (AutogradLibrary.IsInference(state.Handle) == false) return null;
        try
        {
            state.copy_(state); // changes no value, and throws wherever writing would
            return null;
        }
        catch (ExternalException refusal)
        {
            return refusal;
        }
    }

    /// <summary>Throws if 1 cannot be added to a tensor.</summary>
    public static void RequireCounter(Tensor counter, string name)
    {
        if (counter.dtype == ScalarType.Bool) throw new ArgumentException($"{name} is Bool, which counts to 1: make it int64 with .to(ScalarType.Int64)", name);
        Require(counter, name);
    }

    private static bool Overlaps(Tensor state)
    {
        long[] sizes = state.shape, strides = state.stride();
        for (int d = 0; d < sizes.Length; d++)
            if (sizes[d] > 1 && strides[d] == 0) return true;
        return false;
    }
}

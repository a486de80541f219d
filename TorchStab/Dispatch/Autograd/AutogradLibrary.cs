using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>An array of tensor handles, in the memory layout of LibTorchSharp's C++ struct.</summary>
internal unsafe struct HandleArray
{
    public nint* Items;
    public long Count;
}

/// <summary>A node of the autograd graph: an owning pointer, which the creator releases, and a weak pointer, which it keeps.</summary>
internal struct NodeHandle
{
    public nint Shared, Weak;
}

/// <summary>
/// LibTorchSharp's exports for custom nodes of the autograd graph. They are not a public interface, so <see cref="IsAvailable"/> is true only if all of them
/// exist and the version of TorchSharp is one whose signatures are known (0.107).
/// </summary>
internal static unsafe class AutogradLibrary
{
    /// <summary>(apply, deleted) → the node.</summary>
    public static readonly delegate* unmanaged<nint, nint, NodeHandle> CreateNode =
        (delegate* unmanaged<nint, nint, NodeHandle>)LibTorch.Export("THSAutograd_CSharpNode_ctor");

    public static readonly delegate* unmanaged<NodeHandle, void> ReleaseShared =
        (delegate* unmanaged<NodeHandle, void>)LibTorch.Export("THSAutograd_CSharpNode_disposeSharedPtr");

    public static readonly delegate* unmanaged<NodeHandle, void> ReleaseWeak =
        (delegate* unmanaged<NodeHandle, void>)LibTorch.Export("THSAutograd_CSharpNode_disposeWeakPtr");

    /// <summary>(node, inputs, whether gradients are wanted): connects the node to the graphs of its inputs, which receive its gradients.</summary>
    public static readonly delegate* unmanaged<NodeHandle, HandleArray, byte, void> SetNextEdges =
        (delegate* unmanaged<NodeHandle, HandleArray, byte, void>)LibTorch.Export("THSAutograd_CSharpNode_setNextEdges");

    /// <summary>(inputs, not differentiable, changed in place, outputs, node, allocator): makes the node the <c>grad_fn</c> of the outputs.</summary>
    public static readonly
        delegate* unmanaged<HandleArray, HandleArray, HandleArray, HandleArray, NodeHandle, delegate* unmanaged<nuint, nint*>, void> WrapOutputs =
        (delegate* unmanaged<HandleArray, HandleArray, HandleArray, HandleArray, NodeHandle, delegate* unmanaged<nuint, nint*>, void>)
            LibTorch.Export("THSAutograd_Function_wrapOutputs");

    /// <summary>(tensor, node, whether in place on a view) → a saved variable, which remembers the tensor's version.</summary>
    public static readonly delegate* unmanaged<nint, NodeHandle, byte, nint> Save =
        (delegate* unmanaged<nint, NodeHandle, byte, nint>)LibTorch.Export("THSAutograd_SavedVariable_ctor");

    /// <summary>(saved variable, node) → a new handle, or 0 and an error if the tensor was changed in place.</summary>
    public static readonly delegate* unmanaged<nint, NodeHandle, nint> Unpack =
        (delegate* unmanaged<nint, NodeHandle, nint>)LibTorch.Export("THSAutograd_SavedVariable_unpack");

    public static readonly delegate* unmanaged<nint, void> ReleaseSaved =
        (delegate* unmanaged<nint, void>)LibTorch.Export("THSAutograd_SavedVariable_dispose");

    /// <summary>Releases the saved tensor. A later <see cref="Unpack"/> is an error.</summary>
    public static readonly delegate* unmanaged<nint, void> ForgetSaved =
        (delegate* unmanaged<nint, void>)LibTorch.Export("THSAutograd_SavedVariable_reset_data");

    // libtorch's torch::autograd::get_current_graph_task_keep_graph(), by its mangled name of GCC and Clang. On Windows no export has this name.
    private static readonly delegate* unmanaged<byte> KeepsGraph =
        (delegate* unmanaged<byte>)LibTorch.Export("_ZN5torch8autograd33get_current_graph_task_keep_graphEv");

    // libtorch's at::native::is_inference(tensor), also by its mangled name. LibTorchSharp has no export for it.
    private static readonly delegate* unmanaged[SuppressGCTransition]<nint, byte> ExportedIsInference =
        (delegate* unmanaged[SuppressGCTransition]<nint, byte>)LibTorch.Export("_ZN2at6native12is_inferenceERKNS_6TensorE");

    /// <summary>
    /// Whether the backward pass on this thread may free saved tensors (no <c>retain_graph</c>). libtorch's own nodes free theirs one after the other during
    /// the pass, so that gradients reuse the memory of activations; libtorch does not call TorchSharp's custom nodes for that.
    /// </summary>
    public static bool FreesGraph => KeepsGraph != null && ForgetSaved != null && KeepsGraph() == 0;

    public static bool IsAvailable { get; } = LibTorch.IsAvailable && IsKnownVersion() && CreateNode != null && ReleaseShared != null
        && ReleaseWeak != null && SetNextEdges != null && WrapOutputs != null && Save != null && Unpack != null && ReleaseSaved != null;

    /// <summary>
    /// Whether a tensor was made in inference mode, which autograd refuses to save; null if libtorch has no such export. To try a save and catch its
    /// exception instead would cost a millisecond.
    /// </summary>
    public static bool? IsInference(nint tensor) => ExportedIsInference == null ? null : ExportedIsInference(tensor) != 0;

    /// <summary>Whether a tensor was made in inference mode, which never changes for a tensor.</summary>
    public static bool IsInference(Tensor tensor)
    {
        bool isInference = IsInference(tensor.Handle) ?? IsInferenceByTrial(tensor);
        GC.KeepAlive(tensor);
        return isInference;
    }

    /// <summary>
    /// The same where libtorch has no such export: outside inference mode the tensor takes no gradient. Integers take none in any mode, but cannot be written.
    /// </summary>
    internal static bool IsInferenceByTrial(Tensor tensor)
    {
        using var normal = inference_mode(false);
        using var _ = no_grad();
        bool before = tensor.requires_grad;
        try
        {
            if (tensor.is_floating_point()) tensor.requires_grad = true;
            else tensor.copy_(tensor); // changes no value
            tensor.requires_grad = before;
            return false;
        }
        catch (ExternalException)
        {
            return true;
        }
    }

    /// <summary>The message of the last failed call on this thread, without the C++ stack trace.</summary>
    public static string TakeError() => LibTorch.TakeError() is { } message ? WithoutTrace(message) : "libtorch gave no reason.";

    /// <summary>Removes the C++ stack trace from a message of libtorch.</summary>
    public static string WithoutTrace(string message)
    {
        int trace = message.IndexOf("\nException raised from", StringComparison.Ordinal);
        return trace < 0 ? message : message[..trace];
    }

    private static bool IsKnownVersion() => typeof(TorchSharp.torch).Assembly.GetName().Version is { Major: 0, Minor: 107 };
}

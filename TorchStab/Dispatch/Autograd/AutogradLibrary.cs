namespace TorchStab.Dispatch;

/// <summary>An array of tensor handles as LibTorchSharp's C++ passes it.</summary>
internal unsafe struct HandleArray
{
    public nint* Items;
    public long Count;
}

/// <summary>A node of the autograd graph: the owning pointer that its creator gives up, and the weak one that stays.</summary>
internal struct NodeHandle
{
    public nint Shared, Weak;
}

/// <summary>
/// LibTorchSharp's exports for a node of one's own in the autograd graph. They are not a published interface: <see cref="IsAvailable"/> is
/// true only where all are there and TorchSharp is a version whose signatures are known (0.107).
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

    /// <summary>(node, inputs, whether gradients are wanted): gradients go to the graphs of the inputs.</summary>
    public static readonly delegate* unmanaged<NodeHandle, HandleArray, byte, void> SetNextEdges =
        (delegate* unmanaged<NodeHandle, HandleArray, byte, void>)LibTorch.Export("THSAutograd_CSharpNode_setNextEdges");

    /// <summary>(inputs, not differentiable, changed in place, outputs, node, allocator): makes the node the origin of the outputs.</summary>
    public static readonly
        delegate* unmanaged<HandleArray, HandleArray, HandleArray, HandleArray, NodeHandle, delegate* unmanaged<nuint, nint*>, void> WrapOutputs =
        (delegate* unmanaged<HandleArray, HandleArray, HandleArray, HandleArray, NodeHandle, delegate* unmanaged<nuint, nint*>, void>)
            LibTorch.Export("THSAutograd_Function_wrapOutputs");

    /// <summary>(tensor, node, whether in place on a view) → a saved variable, which remembers the tensor's version.</summary>
    public static readonly delegate* unmanaged<nint, NodeHandle, byte, nint> Save =
        (delegate* unmanaged<nint, NodeHandle, byte, nint>)LibTorch.Export("THSAutograd_SavedVariable_ctor");

    /// <summary>(saved variable, node) → a new handle, or 0 with an error where the tensor was changed in place.</summary>
    public static readonly delegate* unmanaged<nint, NodeHandle, nint> Unpack =
        (delegate* unmanaged<nint, NodeHandle, nint>)LibTorch.Export("THSAutograd_SavedVariable_unpack");

    public static readonly delegate* unmanaged<nint, void> ReleaseSaved =
        (delegate* unmanaged<nint, void>)LibTorch.Export("THSAutograd_SavedVariable_dispose");

    /// <summary>Lets go of the tensor; a later <see cref="Unpack"/> is an error.</summary>
    public static readonly delegate* unmanaged<nint, void> ForgetSaved =
        (delegate* unmanaged<nint, void>)LibTorch.Export("THSAutograd_SavedVariable_reset_data");

    // torch::autograd::get_current_graph_task_keep_graph() of libtorch itself, by the name that GCC and Clang give it; elsewhere there is none.
    private static readonly delegate* unmanaged<byte> KeepsGraph =
        (delegate* unmanaged<byte>)LibTorch.Export("_ZN5torch8autograd33get_current_graph_task_keep_graphEv");

    // at::native::is_inference(tensor), by the same names. LibTorchSharp exports nothing like it.
    private static readonly delegate* unmanaged[SuppressGCTransition]<nint, byte> ExportedIsInference =
        (delegate* unmanaged[SuppressGCTransition]<nint, byte>)LibTorch.Export("_ZN2at6native12is_inferenceERKNS_6TensorE");

    /// <summary>
    /// Whether the backward pass that runs on this thread lets go of what was saved for it (no <c>retain_graph</c>). libtorch's own nodes free it one by
    /// one as the pass goes on, so that gradients take the activations' place; TorchSharp's custom nodes are not asked to.
    /// </summary>
    public static bool FreesGraph => KeepsGraph != null && ForgetSaved != null && KeepsGraph() == 0;

    public static bool IsAvailable { get; } = LibTorch.IsAvailable && IsKnownVersion() && CreateNode != null && ReleaseShared != null && ReleaseWeak != null && SetNextEdges != null && WrapOutputs != null && Save != null
        && Unpack != null && ReleaseSaved != null;

    /// <summary>
    /// Whether a tensor was made in inference mode, so that autograd refuses to save it; null where libtorch cannot be asked. To try and fail
    /// would cost a millisecond.
    /// </summary>
    public static bool? IsInference(nint tensor) => ExportedIsInference == null ? null : ExportedIsInference(tensor) != 0;

    /// <summary>The message of the call on this thread that has just failed, without the trace of C++ that follows it.</summary>
    public static string TakeError() => LibTorch.TakeError() is { } message ? WithoutTrace(message) : "libtorch gave no reason.";

    /// <summary>libtorch's words alone.</summary>
    public static string WithoutTrace(string message)
    {
        int trace = message.IndexOf("\nException raised from", StringComparison.Ordinal);
        return trace < 0 ? message : message[..trace];
    }

    private static bool IsKnownVersion() => typeof(TorchSharp.torch).Assembly.GetName().Version is { Major: 0, Minor: 107 };
}

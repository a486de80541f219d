using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>The part of a backward pass that both plugs share. It runs below native frames, so its callers catch every exception.</summary>
internal static unsafe class BackwardPass
{
    /// <summary>
    /// Computes the gradients that are required: by a kernel, or in tensor operations if the backward pass is itself recorded (create_graph). A sparse output
    /// gradient is converted to a dense one.
    /// </summary>
    public static void Run(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients)
    {
        if (is_grad_enabled()) Record(state, outputGradient, saved, ref gradients);
        else if (LibTorch.IsSparse(outputGradient) == 0) state.Op.Backward(state, outputGradient, saved, ref gradients);
        else
        {
            using var dense = Dense(outputGradient);
            state.Op.Backward(state, dense.Handle, saved, ref gradients);
        }
    }

    // Does not use autograd.grad on the tensor-op form: an exception of libtorch in that export ends the process.
    private static void Record(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients)
    {
        using var scope = NewDisposeScope();
        var output = LibTorch.IsSparse(outputGradient) == 0 ? Copy(outputGradient)! : Dense(outputGradient);
        var (input, weight, bias) = state.Op.BackwardInTensorOps(state, output, Copy(saved.Input)!, Copy(saved.Weight), Copy(saved.Bias));
        gradients = new() { Input = Take(state.InputWanted, input), Weight = Take(state.WeightWanted, weight), Bias = Take(state.BiasWanted, bias) };
    }

    /// <summary>A new wrapper with a second handle to the same tensor; null for handle 0.</summary>
    public static Tensor? Copy(nint handle) => handle == 0 ? null : Tensor.UnsafeCreateTensor(LibTorch.Alias(handle));

    /// <summary>Takes a gradient's handle out of its wrapper and DisposeScope; 0 if the gradient is missing or not required.</summary>
    public static nint Take(bool wanted, Tensor? gradient) =>
        wanted && gradient is not null ? gradient.DetachFromDisposeScope().DecoupleFromNativeHandle() : 0;

    private static Tensor Dense(nint gradient)
    {
        using var sparse = Copy(gradient)!;
        return sparse.to_dense();
    }
}

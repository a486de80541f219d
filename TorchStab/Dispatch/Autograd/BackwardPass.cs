using System.Diagnostics;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>The part of a backward pass that both plugs share. Runs under native frames, so nothing may leave it by exception.</summary>
internal static unsafe class BackwardPass
{
    [ThreadStatic]
    private static string? t_failure;

    /// <summary>What went wrong in the last backward pass of this thread, in our own words; libtorch's say only that gradients were refused.</summary>
    public static string? LastFailure => t_failure;

    /// <summary>
    /// Computes the wanted gradients: by kernel, or in tensor operations where the backward pass is itself recorded (create_graph).
    /// </summary>
    public static void Run(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients)
    {
        if (!is_grad_enabled() || state.Op.IsLinear)
        {
            state.Op.Backward(state, outputGradient, saved, ref gradients);
            return;
        }
        using var scope = NewDisposeScope();
        Differentiate(state, Copy(outputGradient), Copy(saved.Input), saved.Weight == 0 ? null : Copy(saved.Weight), saved.Bias == 0 ? null : Copy(saved.Bias),
            ref gradients);
    }

    /// <summary>Notes why a backward pass came to nothing.</summary>
    public static void Fail(NodeState state, Exception exception)
    {
        t_failure = $"The backward pass of {state.Op.GetType().Name} failed: {exception.Message}";
        Trace.TraceError(t_failure);
    }

    // A second handle to the tensor, in a wrapper of its own.
    private static Tensor Copy(nint handle) => Tensor.UnsafeCreateTensor(LibTorch.Alias(handle));

    // Second derivatives go through autograd itself: the output is computed again in tensor operations, and its gradients are taken with
    // a graph. The gradient of a bias does not depend on the bias, so zeros do for one that was not saved.
    private static void Differentiate(NodeState state, Tensor outputGradient, Tensor input, Tensor? weight, Tensor? bias, ref Handles gradients)
    {
        if (bias is null && state.BiasWanted) bias = zeros(state.Op.AffineShape(state), dtype: input.dtype, requires_grad: true);
        var output = state.Op.Recompute(state, input, weight, bias);
        Tensor[] wanted = [.. Wanted(state, input, weight, bias)];
        // An input that is not used must be allowed: an error inside autograd.grad would end the process.
        var found = autograd.grad([output], wanted, [outputGradient], retain_graph: true, create_graph: true, allow_unused: true);
        int i = 0;
        if (state.InputWanted) gradients.Input = Take(found[i++]);
        if (state.WeightWanted) gradients.Weight = Take(found[i++]);
        if (state.BiasWanted) gradients.Bias = Take(found[i]);
    }

    private static IEnumerable<Tensor> Wanted(NodeState state, Tensor input, Tensor? weight, Tensor? bias)
    {
        if (state.InputWanted) yield return input;
        if (state.WeightWanted) yield return weight!;
        if (state.BiasWanted) yield return bias!;
    }

    private static nint Take(Tensor? gradient) =>
        gradient is null || gradient.IsInvalid ? 0 : gradient.DetachFromDisposeScope().DecoupleFromNativeHandle();
}

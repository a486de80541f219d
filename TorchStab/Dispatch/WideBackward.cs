using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// The rare case of a norm's backward pass: sums or coefficients of the kernel left the range of its type, for gradients or inputs of 1e19 and more, or
/// 1e-19 and less, though the gradients themselves may be in it. They are computed again in tensor operations in float64.
/// </summary>
internal static unsafe class WideBackward
{
    /// <summary>Puts new gradients in the place of the kernel's; where an input or the output's gradient is not finite, the kernel's stay.</summary>
    public static void Replace(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients)
    {
        using var scope = NewDisposeScope();
        Tensor output = Wide(outputGradient)!, x = Wide(saved.Input)!;
        if (!IsFinite(output) || !IsFinite(x)) return;
        var (input, weight, bias) = state.Op.BackwardInTensorOps(state, output, x, Wide(saved.Weight), Wide(saved.Bias));
        var dtype = (ScalarType)LibTorch.Dtype(saved.Input); // a kernel takes parameters of no other
        (input, weight, bias) = (input?.to(dtype), weight?.to(dtype), bias?.to(dtype));
        gradients.Dispose();
        gradients = new()
        {
            Input = BackwardPass.Take(state.InputWanted, input),
            Weight = BackwardPass.Take(state.WeightWanted, weight),
            Bias = BackwardPass.Take(state.BiasWanted, bias),
        };
    }

    private static Tensor? Wide(nint handle) => BackwardPass.Copy(handle)?.to(ScalarType.Float64);

    private static bool IsFinite(Tensor values) => values.isfinite().all().item<bool>();
}

using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Repeats a norm's backward pass in tensor operations in float64. This is the rare case in which the kernel's sums or coefficients left the range of its
/// type, because gradients or inputs are 1e19 and more, or 1e-19 and less. The results themselves may be inside that range.
/// </summary>
internal static unsafe class WideBackward
{
    /// <summary>Replaces the kernel's gradients. If the input or the output's gradient is not finite, it keeps them.</summary>
    public static void Replace(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients)
    {
        using var scope = NewDisposeScope();
        Tensor output = Wide(outputGradient)!, x = Wide(saved.Input)!;
        if (!IsFinite(output) || !IsFinite(x)) return;
        var (input, weight, bias) = state.Op.BackwardInTensorOps(state, output, x, Wide(saved.Weight), Wide(saved.Bias));
        var dtype = (ScalarType)LibTorch.Dtype(saved.Input);
        var ofParameters = saved.Weight == 0 ? dtype : (ScalarType)LibTorch.Dtype(saved.Weight); // a bias has the weight's dtype
        (input, weight, bias) = (input?.to(dtype), weight?.to(ofParameters), bias?.to(ofParameters));
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

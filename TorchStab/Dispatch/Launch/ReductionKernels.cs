using TorchStab.Kernels;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>Chooses the instance of <see cref="GlobalNormKernel"/> by norm and dtype.</summary>
internal static unsafe class ReductionKernels
{
    /// <summary>The kernel of a norm of order 2, 1, 0 or ∞; null for other orders and dtypes.</summary>
    public static delegate*<void*, long, long, double> For(ScalarType dtype, double order)
    {
        if (!KernelSelection.HasElement(dtype)) return null;
        ref readonly var family = ref Of(dtype);
        return order switch
        {
            2 => family.SumOfSquares,
            1 => family.SumOfMagnitudes,
            0 => family.NonZero,
            double.PositiveInfinity => family.MaxMagnitude,
            _ => null,
        };
    }

    /// <summary>The kernel of Σ x; null for dtypes without kernels.</summary>
    public static delegate*<void*, long, long, double> Sum(ScalarType dtype) => KernelSelection.HasElement(dtype) ? Of(dtype).Sum : null;

    private static ref readonly GlobalNormKernel.Family Of(ScalarType dtype) =>
        ref Instances<GlobalNormKernel.Family>.Of(TensorMemory.ElementOf(dtype), (int)KernelSelection.Width);
}

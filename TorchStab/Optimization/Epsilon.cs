using static TorchSharp.torch;

namespace TorchStab.Optimization;

/// <summary>
/// The smallest eps of a denominator √v + eps. With an eps of 0, also one that becomes 0 in the dtype of the arithmetic, an element whose gradients were all
/// zero gives
/// 0/0, and one whose gradients are so small that their squares underflow gives m/0. The smallest eps is about the square root of the dtype's smallest
/// number: every nonzero √v is larger. A larger eps is used unchanged.
/// </summary>
internal static class Epsilon
{
    public static double AtLeast(double eps, ScalarType dtype) => Math.Max(eps, dtype == ScalarType.Float64 ? 1e-161 : 1e-22);
}

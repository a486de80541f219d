using static TorchSharp.torch;

namespace TorchStab.Optimization;

/// <summary>
/// The eps of a denominator √v + eps that is 0, or becomes 0 in the dtype of the arithmetic, leaves 0/0 where all gradients of an element were zero, and m/0
/// where they were so small that their squares vanish. The least eps used is about the root of the least number of the dtype: no √v that is
/// not zero is smaller, and an eps above it is used as it is.
/// </summary>
internal static class Epsilon
{
    public static double AtLeast(double eps, ScalarType dtype) => Math.Max(eps, dtype == ScalarType.Float64 ? 1e-161 : 1e-22);
}

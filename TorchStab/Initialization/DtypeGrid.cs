using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>The numbers that a floating-point dtype can represent.</summary>
internal static class DtypeGrid
{
    /// <summary>
    /// The smallest and the largest number of the dtype within [a, b]; rounding the bounds to nearest could leave the interval. If the dtype has no number
    /// there, both are the nearest one.
    /// </summary>
    public static (double least, double most) Within(ScalarType dtype, double a, double b)
    {
        var (least, most) = (Round(dtype, a, Math.Ceiling), Round(dtype, b, Math.Floor));
        return least <= most ? (least, most) : (Round(dtype, a, Math.Round), Round(dtype, a, Math.Round));
    }

    private static double Round(ScalarType dtype, double value, Func<double, double> toward)
    {
        if (value == 0 || !double.IsFinite(value)) return value;
        var (digits, smallest) = dtype switch
        {
            ScalarType.Float64 => (53, -1022),
            ScalarType.Float32 => (24, -126),
            ScalarType.BFloat16 => (8, -126),
            _ => (11, -14),
        };
        int unit = Math.Max(Math.ILogB(value), smallest) - digits + 1;
        return Math.ScaleB(toward(Math.ScaleB(value, -unit)), unit);
    }
}

using static TorchSharp.torch;

namespace TorchStab.Tests.Support;

/// <summary>
/// The one table of tolerances, each relative to the natural magnitude of the compared quantity (at least 1). A number here
/// is a claim with a reason; a test that needs another one adds a line with its reason instead of a literal.
/// </summary>
internal static class Tolerance
{
    /// <summary>float64: 1e-10, six digits above rounding: sums of up to 1e5 terms in another order, times a 1/σ of up to 1e3.</summary>
    public const double Float64 = 1e-10;

    /// <summary>float32: 1e-5, about 80 ulp: the same formula with sums in another order.</summary>
    public const double Float32 = 1e-5;

    /// <summary>float16: 2⁻⁹, two ulp: results agree before the last rounding, which may go either way.</summary>
    public const double Float16 = 1.0 / 512;

    /// <summary>bfloat16: 2⁻⁷, one ulp: the same, with an 8-bit significand.</summary>
    public const double BFloat16 = 1.0 / 128;

    /// <summary>A float64 kernel against its reference in double: the same formula, sums in another order; 1/σ of up to 300 (eps 1e-5).</summary>
    public const double KernelFloat64 = 1e-12;

    /// <summary>A float32 kernel against its reference in double: some 16 ulp of the largest value, for sums over rows and columns.</summary>
    public const double KernelFloat32 = 2e-6;

    /// <summary>Mean 1e4 with σ 1e-2 in float32, against the formula on the same numbers in double: what is asked of the kernels.</summary>
    public const double LargeMean = 1e-6;

    /// <summary>Root mean square of errors over elements and seeds, ours over libtorch's, minus 1: 5 %, twice what chance leaves of 4000 gradients.</summary>
    public const double SameAccuracy = 0.05;

    /// <summary>Second derivatives in float64: 1e-9, one more division by σ than <see cref="Float64"/>.</summary>
    public const double SecondDerivative = 1e-9;

    /// <summary>Sums of a few hundred positive doubles in another order: 1e-14, some fifty ulp.</summary>
    public const double DoubleSum = 1e-14;

    /// <summary>Orthogonality of a float32 matrix, largest |WᵀW − I|: 1e-6, a dozen roundings of numbers below 1.</summary>
    public const double Orthogonality32 = 1e-6;

    /// <summary>The same in float64: 1e-12, which leaves room for matrices of a thousand rows.</summary>
    public const double Orthogonality64 = 1e-12;

    /// <summary>Kolmogorov–Smirnov's √n·D: 1.95 is exceeded by one right sample in a thousand, and seeds are fixed.</summary>
    public const double KolmogorovSmirnov = 1.95;

    /// <summary>A measured standard deviation over the asked one, minus 1: 1e-2 at 1e5 samples is over four of its own deviations.</summary>
    public const double SampleStd = 1e-2;

    /// <summary>Gradients averaged over k passes against one pass over all rows, float64: 1e-12, the same terms summed in another order.</summary>
    public const double Accumulation = 1e-12;

    /// <summary>float64 statistics and gradients over the ranks' batches against one process: 1e-12, the same sums in another order.</summary>
    public const double Synced = 1e-12;

    /// <summary>
    /// Parameters after a few steps on from another program's checkpoint, float64: 1e-9. A bias before a norm has a gradient of rounding, 1e-17, which Adam
    /// divides by √v + 1e-8: 1e-9 of the rate of 1e-2 a step, in either direction.
    /// </summary>
    public const double Continued = 1e-9;

    public static double Of(ScalarType dtype) => dtype switch
    {
        ScalarType.Float64 => Float64,
        ScalarType.Float32 => Float32,
        ScalarType.Float16 => Float16,
        ScalarType.BFloat16 => BFloat16,
        _ => 0, // integers and booleans are exact
    };

    /// <summary>Ten training steps of a deep network in float64: 1e-8 of each tensor's largest value; rounding grows from step to step.</summary>
    public const double TrainedFloat64 = 1e-8;

    /// <summary>A folded layer: two roundings more than norm after layer; 1e-12 in float64, 1e-5 in float32.</summary>
    public static double Folded(ScalarType dtype) => dtype == ScalarType.Float64 ? 1e-12 : Of(dtype);
}

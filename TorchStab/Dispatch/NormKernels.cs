using TorchStab.Kernels;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>The instances of <see cref="GlobalNormKernel"/> by norm and dtype, for the vector width of this machine.</summary>
internal static unsafe class NormKernels
{
    private static readonly Family Single = Widest<Widened>();
    private static readonly Family Double = Widest<Plain<double>>();
    private static readonly Family Half = Widest<HalfWidth<double>>();

    private readonly struct Family
    {
        public required delegate*<void*, long, long, double> Squares { get; init; }

        public required delegate*<void*, long, long, double> Magnitudes { get; init; }

        public required delegate*<void*, long, long, double> Max { get; init; }

        public required delegate*<void*, long, long, double> NonZero { get; init; }

        public required delegate*<void*, long, long, double> Sum { get; init; }
    }

    /// <summary>The kernel of a norm of order 2, 1, 0 or ∞; null for other orders and dtypes.</summary>
    public static delegate*<void*, long, long, double> For(ScalarType dtype, double order)
    {
        if (!Has(dtype)) return null;
        var family = Of(dtype);
        return order switch
        {
            2 => family.Squares,
            1 => family.Magnitudes,
            0 => family.NonZero,
            double.PositiveInfinity => family.Max,
            _ => null,
        };
    }

    /// <summary>The kernel of Σ x; null for dtypes that have none.</summary>
    public static delegate*<void*, long, long, double> Sum(ScalarType dtype) => Has(dtype) ? Of(dtype).Sum : null;

    private static bool Has(ScalarType dtype) => dtype is ScalarType.Float32 or ScalarType.Float64 or ScalarType.BFloat16;

    private static ref readonly Family Of(ScalarType dtype)
    {
        if (dtype == ScalarType.Float32) return ref Single;
        if (dtype == ScalarType.Float64) return ref Double;
        return ref Half;
    }

    private static Family Widest<S>() where S : IStorage<double> => KernelSelection.Width switch
    {
        VectorWidth.V512 => Of<V512<double>, S>(),
        VectorWidth.V256 => Of<V256<double>, S>(),
        VectorWidth.V128 => Of<V128<double>, S>(),
        _ => Of<V1<double>, S>(),
    };

    private static Family Of<V, S>() where V : unmanaged, IVector<V, double> where S : IStorage<double> => new()
    {
        Squares = &GlobalNormKernel.SumOfSquares<V, S>,
        Magnitudes = &GlobalNormKernel.SumOfMagnitudes<V, S>,
        Max = &GlobalNormKernel.MaxMagnitude<V, S>,
        NonZero = &GlobalNormKernel.NonZero<V, S>,
        Sum = &GlobalNormKernel.Sum<V, S>,
    };
}

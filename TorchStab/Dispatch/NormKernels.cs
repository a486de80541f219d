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
    }

    /// <summary>The kernel of a norm of order 2, 1 or ∞; null for other orders and dtypes.</summary>
    public static delegate*<void*, long, long, double> For(ScalarType dtype, double order)
    {
        Family family;
        switch (dtype)
        {
            case ScalarType.Float32: family = Single; break;
            case ScalarType.Float64: family = Double; break;
            case ScalarType.BFloat16: family = Half; break;
            default: return null;
        }
        return order switch
        {
            2 => family.Squares,
            1 => family.Magnitudes,
            double.PositiveInfinity => family.Max,
            _ => null,
        };
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
    };
}

using System.Numerics;
using TorchStab.Kernels;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>The instances of an optimizer's update kernel, by how a parameter is stored, for the vector width of this machine.</summary>
internal static unsafe class StepKernels<K> where K : IStepKernel
{
    private static readonly delegate*<StepStreams*, void*, long, long, void> Single = Widest<float, Plain<float>>();
    private static readonly delegate*<StepStreams*, void*, long, long, void> Double = Widest<double, Plain<double>>();
    private static readonly delegate*<StepStreams*, void*, long, long, void> Half = Widest<float, HalfWidth<float>>();

    /// <summary>For a parameter and its state of these dtypes; null where there is none. bfloat16 parameters take a float32 state.</summary>
    public static delegate*<StepStreams*, void*, long, long, void> For(ScalarType parameter, ScalarType state) => (parameter, state) switch
    {
        (ScalarType.Float32, ScalarType.Float32) => Single,
        (ScalarType.Float64, ScalarType.Float64) => Double,
        (ScalarType.BFloat16, ScalarType.Float32) => Half,
        _ => null,
    };

    private static delegate*<StepStreams*, void*, long, long, void> Widest<T, S>() where T : unmanaged, IBinaryFloatingPointIeee754<T> where S : IStorage<T> =>
        KernelSelection.Width switch
        {
            VectorWidth.V512 => &K.Update<V512<T>, T, S>,
            VectorWidth.V256 => &K.Update<V256<T>, T, S>,
            VectorWidth.V128 => &K.Update<V128<T>, T, S>,
            _ => &K.Update<V1<T>, T, S>,
        };
}

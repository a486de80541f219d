using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>
/// average ← average + w·(value − average), rounded as <c>torch.lerp</c> rounds: for w ≥ ½ it computes value − (value − average)·(1 − w), so that w = 1 gives
/// exactly the value. One pass reads both tensors and writes the average.
/// </summary>
internal static unsafe partial class AverageKernel
{
    /// <summary>The kernel's instance for an element type and a width.</summary>
    public readonly struct Family : IFamily<Family>
    {
        public delegate*<void*, void*, long, long, double, void> Run { get; private init; }

        static Family IFamily<Family>.Of<V, T, E>() => new() { Run = &AverageKernel.Run<V, T, E> };
    }

    /// <param name="average">Elements of T.</param>
    /// <param name="value">Elements of E.</param>
    /// <param name="first">The index of the first element.</param>
    /// <param name="count">The number of elements.</param>
    /// <param name="weight">w, from 0 to 1.</param>
    [MethodImpl(Jit.Loop)]
    public static void Run<V, T, E>(void* average, void* value, long first, long count, double weight)
        where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where E : unmanaged
    {
        // Both forms are w·(value − average) + base. For w < ½ the base is the average; otherwise it is the value, and w − 1 replaces w.
        bool near = weight < 0.5;
        T part = T.CreateTruncating(near ? weight : weight - 1);
        V w = V.Create(part);
        T* a = (T*)average;
        long i = first, end = first + count;
        if (near)
        {
            for (; i <= end - V.Count; i += V.Count)
            {
                V old = V.Load(a + i);
                V.MultiplyAdd(w, Lane.Load<V, T, E>(value, i) - old, old).Store(a + i);
            }
        }
        else
        {
            for (; i <= end - V.Count; i += V.Count)
            {
                V now = Lane.Load<V, T, E>(value, i);
                V.MultiplyAdd(w, now - V.Load(a + i), now).Store(a + i);
            }
        }
        V1<T> w1 = V1<T>.Create(part);
        for (; i < end; i++)
        {
            V1<T> old = V1<T>.Load(a + i), now = Lane.Load<V1<T>, T, E>(value, i);
            V1<T>.MultiplyAdd(w1, now - old, near ? old : now).Store(a + i);
        }
    }
}

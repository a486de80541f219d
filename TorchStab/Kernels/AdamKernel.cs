using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>The scalars of one parameter's step of Adam or AdamW.</summary>
internal struct AdamArguments
{
    public GradientTransform Gradient;
    public double Beta1, Beta2, Eps;

    /// <summary>lr / (1 − β₁ᵗ).</summary>
    public double StepSize;

    /// <summary>1 / √(1 − β₂ᵗ).</summary>
    public double Correction;

    /// <summary>1 − lr·λ for AdamW, 1 for Adam.</summary>
    public double Decay;
}

/// <summary>
/// Adam and AdamW with clipping in one pass: reads p, g, m and v (and v̂ with amsgrad), and writes all but g. The cost is the memory traffic of seven streams
/// (nine with amsgrad). The gradient is clipped when it is read and is not written back. State: exp_avg, exp_avg_sq, and with amsgrad max_exp_avg_sq.
/// <code>
/// g ← transform(g, p)     m ← β₁·m + (1 − β₁)·g     v ← β₂·v + (1 − β₂)·g²     p ← decay·p − stepSize · m / (√v · correction + eps)
/// </code>
/// </summary>
internal readonly unsafe partial struct AdamKernel : IStepFamily<AdamKernel>
{
    public delegate*<StepJob*, int, int, void> Update { get; private init; }

    static AdamKernel IFamily<AdamKernel>.Of<V, T, E>() => new() { Update = &Run<V, T, E> };

    [MethodImpl(Jit.Loop)]
    public static void Run<V, T, E>(StepJob* job, int first, int last)
        where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where E : unmanaged
    {
        int rest = (last - first) % V.Count;
        Span<V, T, E>(job, first, last - rest);
        Span<V1<T>, T, E>(job, last - rest, last);
    }

    [MethodImpl(Jit.Loop)]
    private static void Span<V, T, E>(StepJob* job, int first, int last)
        where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where E : unmanaged
    {
        var a = (AdamArguments*)job->Arguments;
        var s = job->Streams;
        var weights = new Weights<V, T, E>(s);
        T* m = (T*)s->State0, v = (T*)s->State1, max = (T*)s->State2;
        var gradient = new ClippedGradient<V, T>(a->Gradient);
        V keep1 = Create<V, T>(a->Beta1), add1 = Create<V, T>(1 - a->Beta1), keep2 = Create<V, T>(a->Beta2), add2 = Create<V, T>(1 - a->Beta2);
        V correction = Create<V, T>(a->Correction), eps = Create<V, T>(a->Eps), decay = Create<V, T>(a->Decay), step = Create<V, T>(-a->StepSize);
        for (long i = job->First + first, end = job->First + last; i < end; i += V.Count)
        {
            V x = weights.Load(i);
            V g = gradient.Of(Lane.Load<V, T, E>(s->Gradient, i), x);
            V mean = V.MultiplyAdd(g, add1, V.Load(m + i) * keep1);
            V square = V.MultiplyAdd(g * g, add2, V.Load(v + i) * keep2);
            mean.Store(m + i);
            square.Store(v + i);
            if (max != null)
            {
                square = V.Max(square, V.Load(max + i));
                square.Store(max + i);
            }
            V denominator = V.MultiplyAdd(V.Sqrt(square), correction, eps);
            weights.Store(V.MultiplyAdd(step, mean / denominator, x * decay), i);
        }
    }

    private static V Create<V, T>(double value) where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        V.Create(T.CreateTruncating(value));
}

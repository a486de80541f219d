using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>The scalars of one parameter's step of RMSprop.</summary>
internal struct RMSpropArguments
{
    public GradientTransform Gradient;
    public double LearningRate, Alpha, Eps, Momentum;
}

/// <summary>
/// RMSprop with clipping in one pass. State: square_avg (s), with momentum momentum_buffer (b), and if centered grad_avg (a). If b or a is null, the formula
/// without it is used.
/// <code>
/// g ← transform(g, p)     s ← α·s + (1 − α)·g²     a ← α·a + (1 − α)·g     d ← g / (√(s − a²) + eps)     b ← μ·b + d     p ← p − lr·b
/// </code>
/// </summary>
internal readonly unsafe partial struct RMSpropKernel : IStepFamily<RMSpropKernel>
{
    public delegate*<StepJob*, int, int, void> Update { get; private init; }

    static RMSpropKernel IFamily<RMSpropKernel>.Of<V, T, E>() => new() { Update = &Run<V, T, E> };

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
        var a = (RMSpropArguments*)job->Arguments;
        var s = job->Streams;
        var weights = new Weights<V, T, E>(s);
        T* squares = (T*)s->State0, buffer = (T*)s->State1, means = (T*)s->State2;
        var gradient = new ClippedGradient<V, T>(a->Gradient);
        V keep = V.Create(T.CreateTruncating(a->Alpha)), add = V.Create(T.CreateTruncating(1 - a->Alpha)), eps = V.Create(T.CreateTruncating(a->Eps));
        V momentum = V.Create(T.CreateTruncating(a->Momentum)), step = V.Create(T.CreateTruncating(-a->LearningRate));
        for (long i = job->First + first, end = job->First + last; i < end; i += V.Count)
        {
            V x = weights.Load(i);
            V g = gradient.Of(Lane.Load<V, T, E>(s->Gradient, i), x);
            V square = V.MultiplyAdd(g * g, add, V.Load(squares + i) * keep);
            square.Store(squares + i);
            if (means != null)
            {
                V mean = V.MultiplyAdd(g, add, V.Load(means + i) * keep);
                mean.Store(means + i);
                square = V.Max(square - (mean * mean), V.Zero); // rounding can make the variance negative, and its root would be NaN
            }
            V direction = g / (V.Sqrt(square) + eps);
            if (buffer != null)
            {
                direction = V.MultiplyAdd(momentum, V.Load(buffer + i), direction);
                direction.Store(buffer + i);
            }
            weights.Store(V.MultiplyAdd(step, direction, x), i);
        }
    }
}

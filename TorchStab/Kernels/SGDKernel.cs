using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>The scalars of one parameter's step of SGD.</summary>
internal struct SGDArguments
{
    public GradientTransform Gradient;
    public double LearningRate;

    /// <summary>μ; 0 in the buffer's first step, which sets it.</summary>
    public double Momentum;

    /// <summary>1 − dampening; 1 in the buffer's first step.</summary>
    public double NewShare;

    /// <summary>μ of Nesterov's look-ahead; 0 for plain momentum.</summary>
    public double LookAhead;
}

/// <summary>
/// SGD with clipping in one pass: reads p, g and the momentum buffer b, and writes p and b. State: momentum_buffer; null without momentum.
/// <code>
/// g ← transform(g, p)     b ← momentum·b + intake·g     p ← p − lr·(b, or g + lookAhead·b)
/// </code>
/// </summary>
internal readonly unsafe partial struct SGDKernel : IStepFamily<SGDKernel>
{
    public delegate*<StepJob*, int, int, void> Update { get; private init; }

    static SGDKernel IFamily<SGDKernel>.Of<V, T, E>() => new() { Update = &Run<V, T, E> };

    [MethodImpl(Jit.Loop)]
    public static void Run<V, T, E>(StepJob* job, int first, int last)
        where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where E : unmanaged
    {
        int rest = (last - first) % V.Count;
        if (job->Streams->State0 == null)
        {
            Plain<V, T, E>(job, first, last - rest);
            Plain<V1<T>, T, E>(job, last - rest, last);
        }
        else
        {
            Momentum<V, T, E>(job, first, last - rest);
            Momentum<V1<T>, T, E>(job, last - rest, last);
        }
    }

    [MethodImpl(Jit.Loop)]
    private static void Plain<V, T, E>(StepJob* job, int first, int last)
        where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where E : unmanaged
    {
        var a = (SGDArguments*)job->Arguments;
        var s = job->Streams;
        var weights = new Weights<V, T, E>(s);
        var gradient = new ClippedGradient<V, T>(a->Gradient);
        V step = V.Create(T.CreateTruncating(-a->LearningRate));
        for (long i = job->First + first, end = job->First + last; i < end; i += V.Count)
        {
            V x = weights.Load(i);
            weights.Store(V.MultiplyAdd(step, gradient.Of(Lane.Load<V, T, E>(s->Gradient, i), x), x), i);
        }
    }

    [MethodImpl(Jit.Loop)]
    private static void Momentum<V, T, E>(StepJob* job, int first, int last)
        where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where E : unmanaged
    {
        var a = (SGDArguments*)job->Arguments;
        var s = job->Streams;
        var weights = new Weights<V, T, E>(s);
        T* buffer = (T*)s->State0;
        var gradient = new ClippedGradient<V, T>(a->Gradient);
        V step = V.Create(T.CreateTruncating(-a->LearningRate)), intake = V.Create(T.CreateTruncating(a->NewShare));
        V momentum = V.Create(T.CreateTruncating(a->Momentum)), ahead = V.Create(T.CreateTruncating(a->LookAhead));
        bool nesterov = a->LookAhead != 0;
        for (long i = job->First + first, end = job->First + last; i < end; i += V.Count)
        {
            V x = weights.Load(i);
            V g = gradient.Of(Lane.Load<V, T, E>(s->Gradient, i), x);
            V b = V.MultiplyAdd(momentum, V.Load(buffer + i), intake * g);
            b.Store(buffer + i);
            weights.Store(V.MultiplyAdd(step, nesterov ? V.MultiplyAdd(ahead, b, g) : b, x), i);
        }
    }
}

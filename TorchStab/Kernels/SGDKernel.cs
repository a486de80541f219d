using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>The numbers of one parameter's step of SGD.</summary>
internal struct SGDArguments
{
    public GradientTransform Gradient;
    public double LearningRate;

    /// <summary>μ; 0 in a buffer's first step, which sets it.</summary>
    public double Momentum;

    /// <summary>1 − dampening; 1 in a buffer's first step.</summary>
    public double Intake;

    /// <summary>μ of Nesterov's look-ahead; 0 for plain momentum.</summary>
    public double LookAhead;
}

/// <summary>
/// SGD, clipping included, in one pass: reads p, g and the momentum buffer b, writes p and b. State: momentum_buffer; null without momentum.
/// <code>
/// g ← transform(g, p)     b ← momentum·b + intake·g     p ← p − lr·(b, or g + lookAhead·b)
/// </code>
/// </summary>
internal readonly unsafe partial struct SGDKernel : IStepKernel
{
    [MethodImpl(Jit.Loop)]
    public static void Update<V, T, S>(StepStreams* streams, void* arguments, long first, long count)
        where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where S : IStorage<T>
    {
        var a = (SGDArguments*)arguments;
        long rest = count % V.Count;
        if (streams->State0 == null)
        {
            Plain<V, T, S>(streams, a, first, count - rest);
            Plain<V1<T>, T, S>(streams, a, first + count - rest, rest);
        }
        else
        {
            Momentum<V, T, S>(streams, a, first, count - rest);
            Momentum<V1<T>, T, S>(streams, a, first + count - rest, rest);
        }
    }

    [MethodImpl(Jit.Loop)]
    private static void Plain<V, T, S>(StepStreams* s, SGDArguments* a, long first, long count)
        where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where S : IStorage<T>
    {
        void* p = s->Parameter, from = s->Gradient;
        var gradient = new ClippedGradient<V, T>(a->Gradient);
        V step = V.Create(T.CreateTruncating(-a->LearningRate));
        for (long i = first; i < first + count; i += V.Count)
        {
            V x = S.Load<V>(p, i);
            S.Store(V.MultiplyAdd(step, gradient.Of(S.Load<V>(from, i), x), x), p, i);
        }
    }

    [MethodImpl(Jit.Loop)]
    private static void Momentum<V, T, S>(StepStreams* s, SGDArguments* a, long first, long count)
        where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where S : IStorage<T>
    {
        void* p = s->Parameter, from = s->Gradient;
        T* buffer = (T*)s->State0;
        var gradient = new ClippedGradient<V, T>(a->Gradient);
        V step = V.Create(T.CreateTruncating(-a->LearningRate)), intake = V.Create(T.CreateTruncating(a->Intake));
        V momentum = V.Create(T.CreateTruncating(a->Momentum)), ahead = V.Create(T.CreateTruncating(a->LookAhead));
        bool nesterov = a->LookAhead != 0;
        for (long i = first; i < first + count; i += V.Count)
        {
            V x = S.Load<V>(p, i);
            V g = gradient.Of(S.Load<V>(from, i), x);
            V b = V.MultiplyAdd(momentum, V.Load(buffer + i), intake * g);
            b.Store(buffer + i);
            S.Store(V.MultiplyAdd(step, nesterov ? V.MultiplyAdd(ahead, b, g) : b, x), p, i);
        }
    }
}

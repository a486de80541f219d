using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>The addresses that an optimizer's step of one parameter reads and writes. The gradient is only read.</summary>
internal unsafe struct StepStreams
{
    public void* Parameter, Gradient, State0, State1, State2;

    /// <summary>The copy of a bfloat16 or float16 parameter in the type of the arithmetic; null if there is none.</summary>
    public void* Master;

    /// <summary>Prefetches the first kilobyte of the parameter, the gradient and the first two states; afterwards the hardware prefetches.</summary>
    public readonly void Prefetch(int count)
    {
        const int head = 1024;
        int bytes = Math.Min(head, count * sizeof(float));
        for (int offset = 0; offset < bytes; offset += Memory.Line)
        {
            Memory.Prefetch((byte*)Parameter + offset);
            Memory.Prefetch((byte*)Gradient + offset);
            Memory.Prefetch((byte*)State0 + offset);
            Memory.Prefetch((byte*)State1 + offset);
            Memory.Prefetch((byte*)Master + offset);
        }
    }
}

/// <summary>The job of an optimizer's kernel: a run of one parameter's elements.</summary>
internal unsafe struct StepJob
{
    public StepStreams* Streams;

    /// <summary>The kernel's struct of scalars.</summary>
    public void* Arguments;

    /// <summary>The index of the run's first element. A kernel's items are relative to it.</summary>
    public long First;
}

/// <summary>
/// The weights of a step: the parameter, or its master copy, of which the parameter is the rounding. An element of the parameter that is not the rounding of
/// its copy was written by somebody else: it replaces the copy.
/// </summary>
internal readonly unsafe struct Weights<V, T, E>(StepStreams* streams)
    where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where E : unmanaged
{
    private readonly E* _parameter = (E*)streams->Parameter;
    private readonly T* _master = (T*)streams->Master;

    private static bool CanHaveMaster => sizeof(E) == sizeof(ushort) && typeof(T) == typeof(float);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public V Load(long i)
    {
        V value = Lane.Load<V, T, E>(_parameter + i);
        if (!CanHaveMaster || _master == null) return value;
        V master = V.Load(_master + i);
        return V.Select(V.Equal(V.Round<E>(master), value), master, value);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(V value, long i)
    {
        if (CanHaveMaster && _master != null) value.Store(_master + i);
        Lane.Store<V, T, E>(value, _parameter + i);
    }
}

/// <summary>
/// The family of an optimizer's kernel: one method, which updates the elements [first, last) of a run. The state of bfloat16 parameters is float32.
/// </summary>
internal unsafe interface IStepFamily<F> : IFamily<F> where F : struct, IStepFamily<F>
{
    delegate*<StepJob*, int, int, void> Update { get; }
}

/// <summary>The changes to a gradient before the optimizer uses it: clipping by norm or by value, sign, L2 decay.</summary>
internal struct GradientTransform
{
    /// <summary>The clip coefficient; negative to maximize.</summary>
    public double Scale;

    /// <summary>Elements are clamped to ±Bound; infinity for no clamp.</summary>
    public double Bound;

    /// <summary>λ of the L2 penalty λ·p, added after clipping.</summary>
    public double Decay;

    /// <summary>Transforms one element, in double.</summary>
    public readonly double Reference(double gradient, double parameter)
    {
        double g = gradient * Scale;
        if (!double.IsNaN(g)) g = Math.Clamp(g, -Bound, Bound);
        return Decay == 0 ? g : g + (Decay * parameter);
    }
}

/// <summary>g ← clamp(scale · g, ±bound) + decay · p. A NaN stays NaN.</summary>
internal readonly struct ClippedGradient<V, T>(GradientTransform transform)
    where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly V _scale = V.Create(T.CreateTruncating(transform.Scale));
    private readonly V _high = V.Create(T.CreateTruncating(transform.Bound));
    private readonly V _low = V.Create(T.CreateTruncating(-transform.Bound));
    private readonly V _decay = V.Create(T.CreateTruncating(transform.Decay));
    private readonly bool _decays = transform.Decay != 0; // 0 · ∞ would be NaN

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public V Of(V gradient, V parameter)
    {
        V g = gradient * _scale;
        g = V.Select(V.GreaterThan(g, _high), _high, g);
        g = V.Select(V.GreaterThan(_low, g), _low, g);
        return _decays ? V.MultiplyAdd(parameter, _decay, g) : g;
    }
}

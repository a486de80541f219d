using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>
/// Passes over one contiguous run of a channel's positions. They are inlined into the caller's loop over such runs, which is a <see cref="Jit.Loop"/>,
/// because a call for each of many short runs would double the time.
/// </summary>
internal static unsafe class Plane<V, T, E>
    where V : unmanaged, IVector<V, T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where E : unmanaged
{
    private const int Ahead = 1024; // bytes of the next run to prefetch; afterwards the hardware prefetches

    /// <summary>
    /// Terms per lane before sums in T are added to double. A single lane takes fewer terms, because the errors of several lanes average out and those of one
    /// do not.
    /// </summary>
    private static int LaneTerms => V.Count == 1 ? 8 : 128;

    /// <summary>Prefetches the beginning of the next run.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(E* next, int n)
    {
        for (int i = 0; i < Math.Min(Ahead, n * sizeof(E)); i += Memory.Line) Memory.Prefetch((byte*)next + i);
    }

    /// <summary>y = (x − high)·scale + offset, followed by a relu if <typeparamref name="Relu"/> is set.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Normalize<Relu, S>(E* x, E* y, int n, Affine<T> terms)
        where Relu : struct, IFlag
        where S : struct, IFlag
    {
        int w = V.Count, i = 0;
        V h = V.Create(terms.High), s = V.Create(terms.Scale), o = V.Create(terms.Offset);
        for (; i <= n - (2 * w); i += 2 * w)
        {
            NormalizeOne<V, Relu, S>(x + i, y + i, h, s, o);
            NormalizeOne<V, Relu, S>(x + i + w, y + i + w, h, s, o);
        }
        for (; i <= n - w; i += w) NormalizeOne<V, Relu, S>(x + i, y + i, h, s, o);
        if (i < n && n >= w) NormalizeOne<V, Relu, No>(x + n - w, y + n - w, h, s, o);
        else
        {
            V1<T> h1 = V1<T>.Create(terms.High), s1 = V1<T>.Create(terms.Scale), o1 = V1<T>.Create(terms.Offset);
            for (; i < n; i++) NormalizeOne<V1<T>, Relu, No>(x + i, y + i, h1, s1, o1);
        }
    }

    /// <summary>Adds Σ d and Σ d·(x − high), where d is the gradient multiplied by the activation's mask.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void AddSums<Relu>(E* x, E* dy, int n, Affine<T> terms, ref double sum, ref double dot) where Relu : struct, IFlag
    {
        int chunk = 2 * LaneTerms * V.Count;
        for (int i = 0; i < n; i += chunk) AddChunk<Relu>(x + i, dy + i, Math.Min(chunk, n - i), terms, ref sum, ref dot);
    }

    /// <summary>dx = d·scale + (x − high)·rate + constant.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Differentiate<Relu, S>(E* x, E* dy, E* dx, int n, Affine<T> terms, Slope<T> slope)
        where Relu : struct, IFlag
        where S : struct, IFlag
    {
        int w = V.Count, i = 0;
        V h = V.Create(terms.High), s = V.Create(terms.Scale), o = V.Create(terms.Offset);
        V a = V.Create(slope.Scale), b = V.Create(slope.Rate), c = V.Create(slope.Constant);
        for (; i <= n - (2 * w); i += 2 * w)
        {
            DifferentiateOne<V, Relu, S>(x + i, dy + i, dx + i, h, s, o, a, b, c);
            DifferentiateOne<V, Relu, S>(x + i + w, dy + i + w, dx + i + w, h, s, o, a, b, c);
        }
        for (; i <= n - w; i += w) DifferentiateOne<V, Relu, S>(x + i, dy + i, dx + i, h, s, o, a, b, c);
        if (i < n && n >= w) DifferentiateOne<V, Relu, No>(x + n - w, dy + n - w, dx + n - w, h, s, o, a, b, c);
        else
        {
            V1<T> h1 = V1<T>.Create(terms.High), s1 = V1<T>.Create(terms.Scale), o1 = V1<T>.Create(terms.Offset);
            V1<T> a1 = V1<T>.Create(slope.Scale), b1 = V1<T>.Create(slope.Rate), c1 = V1<T>.Create(slope.Constant);
            for (; i < n; i++) DifferentiateOne<V1<T>, Relu, No>(x + i, dy + i, dx + i, h1, s1, o1, a1, b1, c1);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void NormalizeOne<U, Relu, S>(E* x, E* y, U h, U s, U o)
        where U : unmanaged, IVector<U, T>
        where Relu : struct, IFlag
        where S : struct, IFlag
    {
        var normalized = U.MultiplyAdd(Lane.Load<U, T, E>(x) - h, s, o);
        Lane.Store<U, T, E, S>(Relu.IsSet ? Lane.Relu<U, T>(normalized) : normalized, y);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddChunk<Relu>(E* x, E* dy, int n, Affine<T> terms, ref double sum, ref double dot) where Relu : struct, IFlag
    {
        int w = V.Count, i = 0;
        V h = V.Create(terms.High), s = V.Create(terms.Scale), o = V.Create(terms.Offset), s0 = V.Zero, s1 = V.Zero, p0 = V.Zero, p1 = V.Zero;
        for (; i <= n - (2 * w); i += 2 * w)
        {
            AddOne<V, Relu>(Lane.Load<V, T, E>(x + i), Lane.Load<V, T, E>(dy + i), h, s, o, ref s0, ref p0);
            AddOne<V, Relu>(Lane.Load<V, T, E>(x + i + w), Lane.Load<V, T, E>(dy + i + w), h, s, o, ref s1, ref p1);
        }
        for (; i <= n - w; i += w) AddOne<V, Relu>(Lane.Load<V, T, E>(x + i), Lane.Load<V, T, E>(dy + i), h, s, o, ref s0, ref p0);
        if (i < n && n >= w)
        {
            V d = Lane.KeepLast<V, T>(Lane.Load<V, T, E>(dy + n - w), n - i), kept = Lane.KeepLast<V, T>(Lane.Load<V, T, E>(x + n - w) - h, n - i);
            AddCentred<V, Relu>(kept, d, s, o, ref s1, ref p1);
            i = n;
        }
        sum += double.CreateTruncating(V.Sum(s0 + s1));
        dot += double.CreateTruncating(V.Sum(p0 + p1));
        if (i == n) return;
        V1<T> rest = V1<T>.Zero, restDot = V1<T>.Zero, h1 = V1<T>.Create(terms.High), c1 = V1<T>.Create(terms.Scale), o1 = V1<T>.Create(terms.Offset);
        for (; i < n; i++) AddOne<V1<T>, Relu>(Lane.Load<V1<T>, T, E>(x + i), Lane.Load<V1<T>, T, E>(dy + i), h1, c1, o1, ref rest, ref restDot);
        sum += V1<T>.SumWide(rest);
        dot += V1<T>.SumWide(restDot);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddOne<U, Relu>(U x, U dy, U h, U s, U o, ref U sum, ref U dot)
        where U : unmanaged, IVector<U, T>
        where Relu : struct, IFlag => AddCentred<U, Relu>(x - h, dy, s, o, ref sum, ref dot);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddCentred<U, Relu>(U centred, U dy, U s, U o, ref U sum, ref U dot)
        where U : unmanaged, IVector<U, T>
        where Relu : struct, IFlag
    {
        var d = Relu.IsSet ? Lane.WherePositive<U, T>(U.MultiplyAdd(centred, s, o), dy) : dy;
        sum += d;
        dot = U.MultiplyAdd(d, centred, dot);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void DifferentiateOne<U, Relu, S>(E* x, E* dy, E* dx, U h, U s, U o, U a, U b, U c)
        where U : unmanaged, IVector<U, T>
        where Relu : struct, IFlag
        where S : struct, IFlag
    {
        U centred = Lane.Load<U, T, E>(x) - h, d = Lane.Load<U, T, E>(dy);
        if (Relu.IsSet) d = Lane.WherePositive<U, T>(U.MultiplyAdd(centred, s, o), d);
        Lane.Store<U, T, E, S>(U.MultiplyAdd(d, a, U.MultiplyAdd(centred, b, c)), dx);
    }
}

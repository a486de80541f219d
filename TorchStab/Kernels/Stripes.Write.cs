using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>The pass that writes the input's gradient where it does not stay in the caches.</summary>
internal static unsafe partial class Stripes<V, T, E>
{
    /// <summary>dx = d·a + (x − high)·b + c, d the gradient behind the activation.</summary>
    public static void Differentiate<Relu, S>(E* x, E* dy, E* dx, long stride, int rows, int width, ColumnTables<T> tables)
        where Relu : struct, IFlag
        where S : struct, IFlag
    {
        int w = V.Count, j = 0;
        for (; j <= width - (2 * w); j += 2 * w) DifferentiateTwo<Relu, S>(x + j, dy + j, dx + j, stride, rows, tables + j);
        for (; j <= width - w; j += w) DifferentiateOne<V, Relu, S>(x + j, dy + j, dx + j, stride, rows, tables + j);
        if (j == width) return;
        int last = width - w;
        if (last >= 0) DifferentiateOne<V, Relu, No>(x + last, dy + last, dx + last, stride, rows, tables + last);
        else for (; j < width; j++) DifferentiateOne<V1<T>, Relu, No>(x + j, dy + j, dx + j, stride, rows, tables + j);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void DifferentiateTwo<Relu, S>(E* x, E* dy, E* dx, long stride, int rows, ColumnTables<T> tables)
        where Relu : struct, IFlag
        where S : struct, IFlag
    {
        int w = V.Count;
        long ahead = rows * stride;
        V h0 = V.Load(tables.High), h1 = V.Load(tables.High + w), a0 = V.Load(tables.A), a1 = V.Load(tables.A + w);
        V b0 = V.Load(tables.B), b1 = V.Load(tables.B + w), c0 = V.Load(tables.C), c1 = V.Load(tables.C + w);
        V s0 = V.Load(tables.Scale), s1 = V.Load(tables.Scale + w), o0 = V.Load(tables.Offset), o1 = V.Load(tables.Offset + w);
        for (; rows > 0; rows--, x += stride, dy += stride, dx += stride)
        {
            Memory.Prefetch(x + ahead);
            Memory.Prefetch(dy + ahead);
            if (2 * w * sizeof(E) > Memory.Line)
            {
                Memory.Prefetch(x + ahead + w);
                Memory.Prefetch(dy + ahead + w);
            }
            WriteGradient<V, Relu, S>(Lane.Load<V, T, E>(x) - h0, Lane.Load<V, T, E>(dy), s0, o0, a0, b0, c0, dx);
            WriteGradient<V, Relu, S>(Lane.Load<V, T, E>(x + w) - h1, Lane.Load<V, T, E>(dy + w), s1, o1, a1, b1, c1, dx + w);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void DifferentiateOne<U, Relu, S>(E* x, E* dy, E* dx, long stride, int rows, ColumnTables<T> tables)
        where U : unmanaged, IVector<U, T>
        where Relu : struct, IFlag
        where S : struct, IFlag
    {
        U h = U.Load(tables.High), s = U.Load(tables.Scale), o = U.Load(tables.Offset), a = U.Load(tables.A), b = U.Load(tables.B), c = U.Load(tables.C);
        for (; rows > 0; rows--, x += stride, dy += stride, dx += stride)
            WriteGradient<U, Relu, S>(Lane.Load<U, T, E>(x) - h, Lane.Load<U, T, E>(dy), s, o, a, b, c, dx);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void WriteGradient<U, Relu, S>(U centred, U d, U scale, U offset, U a, U b, U c, E* dx)
        where U : unmanaged, IVector<U, T>
        where Relu : struct, IFlag
        where S : struct, IFlag
    {
        if (Relu.IsSet) d = Lane.WherePositive<U, T>(U.MultiplyAdd(centred, scale, offset), d);
        Lane.Store<U, T, E, S>(U.MultiplyAdd(d, a, U.MultiplyAdd(centred, b, c)), dx);
    }
}

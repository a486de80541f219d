using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>The passes that write.</summary>
internal static unsafe partial class Stripes<V, T, E>
{
    /// <summary>y = (x − high)·scale + offset, behind a relu where asked for.</summary>
    public static void Normalize<Relu, S>(E* x, E* y, long stride, int rows, int width, ColumnTables<T> tables)
        where Relu : struct, IFlag
        where S : struct, IFlag
    {
        int w = V.Count, j = 0;
        for (; j <= width - (4 * w); j += 4 * w) NormalizeFour<Relu, S>(x + j, y + j, stride, rows, tables + j);
        for (; j <= width - w; j += w) NormalizeOne<V, Relu, S>(x + j, y + j, stride, rows, tables + j);
        if (j == width) return;
        int last = width - w;
        if (last >= 0) NormalizeOne<V, Relu, No>(x + last, y + last, stride, rows, tables + last);
        else for (; j < width; j++) NormalizeOne<V1<T>, Relu, No>(x + j, y + j, stride, rows, tables + j);
    }

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
    private static void NormalizeFour<Relu, S>(E* x, E* y, long stride, int rows, ColumnTables<T> tables)
        where Relu : struct, IFlag
        where S : struct, IFlag
    {
        int w = V.Count;
        long ahead = rows * stride;
        T* high = tables.High, scale = tables.Scale, offset = tables.Offset;
        V h0 = V.Load(high), h1 = V.Load(high + w), h2 = V.Load(high + (2 * w)), h3 = V.Load(high + (3 * w));
        V s0 = V.Load(scale), s1 = V.Load(scale + w), s2 = V.Load(scale + (2 * w)), s3 = V.Load(scale + (3 * w));
        V o0 = V.Load(offset), o1 = V.Load(offset + w), o2 = V.Load(offset + (2 * w)), o3 = V.Load(offset + (3 * w));
        for (; rows > 0; rows--, x += stride, y += stride)
        {
            Prefetch(x + ahead);
            Write<V, Relu, S>(Lane.Load<V, T, E>(x) - h0, s0, o0, y);
            Write<V, Relu, S>(Lane.Load<V, T, E>(x + w) - h1, s1, o1, y + w);
            Write<V, Relu, S>(Lane.Load<V, T, E>(x + (2 * w)) - h2, s2, o2, y + (2 * w));
            Write<V, Relu, S>(Lane.Load<V, T, E>(x + (3 * w)) - h3, s3, o3, y + (3 * w));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void NormalizeOne<U, Relu, S>(E* x, E* y, long stride, int rows, ColumnTables<T> tables)
        where U : unmanaged, IVector<U, T>
        where Relu : struct, IFlag
        where S : struct, IFlag
    {
        U h = U.Load(tables.High), s = U.Load(tables.Scale), o = U.Load(tables.Offset);
        for (; rows > 0; rows--, x += stride, y += stride) Write<U, Relu, S>(Lane.Load<U, T, E>(x) - h, s, o, y);
    }

    // Two vectors: each takes six registers.
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
    private static void Write<U, Relu, S>(U centred, U scale, U offset, E* y)
        where U : unmanaged, IVector<U, T>
        where Relu : struct, IFlag
        where S : struct, IFlag
    {
        var normalized = U.MultiplyAdd(centred, scale, offset);
        Lane.Store<U, T, E, S>(Relu.IsSet ? Lane.Relu<U, T>(normalized) : normalized, y);
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

/// <summary>A row of channels for each coefficient: y = (x − High)·Scale + Offset, dx = d·A + (x − High)·B + C.</summary>
internal readonly unsafe struct ColumnTables<T>(T* first, long width) where T : unmanaged
{
    public T* High => first;

    public T* Scale => first + width;

    public T* Offset => first + (2 * width);

    public T* A => first + (3 * width);

    public T* B => first + (4 * width);

    public T* C => first + (5 * width);

    /// <summary>The same from a column on.</summary>
    public static ColumnTables<T> operator +(ColumnTables<T> tables, int column) => new(tables.First + column, tables.Width);

    private T* First => first;

    private long Width => width;
}

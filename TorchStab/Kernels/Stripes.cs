using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>
/// Sums over a run of rows of channels, in stripes of four vectors of columns. A stripe's sums stay in registers from the first row to the last, and are then
/// added to double. Reads of a stripe are one row apart, which the hardware does not prefetch, so each read prefetches the same place in the next run. The
/// last columns are processed by a vector that overlaps the one before it. <see cref="RowSums{V, T, E}"/> chooses the rows for this class.
/// </summary>
internal static unsafe class Stripes<V, T, E>
    where V : unmanaged, IVector<V, T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where E : unmanaged
{
    /// <summary>
    /// Limits of a run: its bytes stay in the first-level cache; fewer rows would not justify the additions to double; more rows would lose precision in T.
    /// </summary>
    private const int RunBytes = 16 * 1024, LeastRows = 32, MostRows = 128;

    public static int RowsOfRun(int width) => Math.Clamp(RunBytes / (width * sizeof(E)), LeastRows, MostRows);

    /// <summary>Adds Σ(x − shift) and Σ(x − shift)² of each column.</summary>
    public static void AddMoments(E* x, long stride, int rows, int width, T* shift, double* sum, double* square)
    {
        int w = V.Count, j = 0;
        for (; j <= width - (4 * w); j += 4 * w) AddMomentsOfFour(x + j, stride, rows, shift + j, sum + j, square + j);
        for (; j <= width - w; j += w) AddMomentsOfOne<V>(x + j, stride, rows, w, shift + j, sum + j, square + j);
        if (j == width) return;
        int last = width - w;
        if (last >= 0) AddMomentsOfOne<V>(x + last, stride, rows, width - j, shift + last, sum + last, square + last);
        else for (; j < width; j++) AddMomentsOfOne<V1<T>>(x + j, stride, rows, 1, shift + j, sum + j, square + j);
    }

    /// <summary>Adds Σd and Σd·(x − high) of each column, where d is the gradient multiplied by the activation's mask.</summary>
    public static void AddSums<Relu>(E* x, E* dy, long stride, int rows, int width, ColumnTables<T> tables, double* sum, double* dot)
        where Relu : struct, IFlag
    {
        int w = V.Count, j = 0;
        for (; j <= width - (4 * w); j += 4 * w) AddSumsOfFour<Relu>(x + j, dy + j, stride, rows, tables + j, sum + j, dot + j);
        for (; j <= width - w; j += w) AddSumsOfOne<V, Relu>(x + j, dy + j, stride, rows, w, tables + j, sum + j, dot + j);
        if (j == width) return;
        int last = width - w;
        if (last >= 0) AddSumsOfOne<V, Relu>(x + last, dy + last, stride, rows, width - j, tables + last, sum + last, dot + last);
        else for (; j < width; j++) AddSumsOfOne<V1<T>, Relu>(x + j, dy + j, stride, rows, 1, tables + j, sum + j, dot + j);
    }

    [MethodImpl(Jit.Loop)]
    private static void AddMomentsOfFour(E* x, long stride, int rows, T* shift, double* sum, double* square)
    {
        int w = V.Count;
        long ahead = rows * stride;
        V h0 = V.Load(shift), h1 = V.Load(shift + w), h2 = V.Load(shift + (2 * w)), h3 = V.Load(shift + (3 * w));
        V s0 = V.Zero, s1 = V.Zero, s2 = V.Zero, s3 = V.Zero, q0 = V.Zero, q1 = V.Zero, q2 = V.Zero, q3 = V.Zero;
        for (; rows > 0; rows--, x += stride)
        {
            Prefetch(x + ahead);
            V a0 = Lane.Load<V, T, E>(x) - h0, a1 = Lane.Load<V, T, E>(x + w) - h1;
            V a2 = Lane.Load<V, T, E>(x + (2 * w)) - h2, a3 = Lane.Load<V, T, E>(x + (3 * w)) - h3;
            Lane.AddMoments<V, T>(a0, ref s0, ref q0);
            Lane.AddMoments<V, T>(a1, ref s1, ref q1);
            Lane.AddMoments<V, T>(a2, ref s2, ref q2);
            Lane.AddMoments<V, T>(a3, ref s3, ref q3);
        }
        AddTo(sum, s0, s1, s2, s3);
        AddTo(square, q0, q1, q2, q3);
    }

    [MethodImpl(Jit.Loop)]
    private static void AddMomentsOfOne<U>(E* x, long stride, int rows, int kept, T* shift, double* sum, double* square) where U : unmanaged, IVector<U, T>
    {
        U h = U.Load(shift), s = U.Zero, q = U.Zero;
        for (; rows > 0; rows--, x += stride)
        {
            U a = Lane.Load<U, T, E>(x) - h;
            Lane.AddMoments<U, T>(a, ref s, ref q);
        }
        Lane.KeepLast<U, T>(s, kept).AddTo(sum);
        Lane.KeepLast<U, T>(q, kept).AddTo(square);
    }

    [MethodImpl(Jit.Loop)]
    private static void AddSumsOfFour<Relu>(E* x, E* dy, long stride, int rows, ColumnTables<T> tables, double* sum, double* dot) where Relu : struct, IFlag
    {
        int w = V.Count;
        long ahead = rows * stride;
        T* high = tables.High, scale = tables.Scale, offset = tables.Offset;
        V h0 = V.Load(high), h1 = V.Load(high + w), h2 = V.Load(high + (2 * w)), h3 = V.Load(high + (3 * w));
        V s0 = V.Zero, s1 = V.Zero, s2 = V.Zero, s3 = V.Zero, p0 = V.Zero, p1 = V.Zero, p2 = V.Zero, p3 = V.Zero;
        for (; rows > 0; rows--, x += stride, dy += stride)
        {
            Prefetch(x + ahead);
            Prefetch(dy + ahead);
            AddOne<V, Relu>(x, dy, h0, scale, offset, ref s0, ref p0);
            AddOne<V, Relu>(x + w, dy + w, h1, scale + w, offset + w, ref s1, ref p1);
            AddOne<V, Relu>(x + (2 * w), dy + (2 * w), h2, scale + (2 * w), offset + (2 * w), ref s2, ref p2);
            AddOne<V, Relu>(x + (3 * w), dy + (3 * w), h3, scale + (3 * w), offset + (3 * w), ref s3, ref p3);
        }
        AddTo(sum, s0, s1, s2, s3);
        AddTo(dot, p0, p1, p2, p3);
    }

    [MethodImpl(Jit.Loop)]
    private static void AddSumsOfOne<U, Relu>(E* x, E* dy, long stride, int rows, int kept, ColumnTables<T> tables, double* sum, double* dot)
        where U : unmanaged, IVector<U, T>
        where Relu : struct, IFlag
    {
        U h = U.Load(tables.High);
        for (int left = rows; left > 0; left -= Columns<V, T, E>.MostGradientRows)
        {
            U s = U.Zero, p = U.Zero;
            int run = Math.Min(left, Columns<V, T, E>.MostGradientRows);
            for (; run > 0; run--, x += stride, dy += stride) AddOne<U, Relu>(x, dy, h, tables.Scale, tables.Offset, ref s, ref p);
            Lane.KeepLast<U, T>(s, kept).AddTo(sum);
            Lane.KeepLast<U, T>(p, kept).AddTo(dot);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddOne<U, Relu>(E* x, E* dy, U high, T* scale, T* offset, ref U sum, ref U dot)
        where U : unmanaged, IVector<U, T>
        where Relu : struct, IFlag
    {
        U centred = Lane.Load<U, T, E>(x) - high, d = Lane.Load<U, T, E>(dy);
        if (Relu.IsSet) d = Lane.WherePositive<U, T>(U.MultiplyAdd(centred, U.Load(scale), U.Load(offset)), d);
        sum += d;
        dot = U.MultiplyAdd(d, centred, dot);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddTo(double* sums, V a, V b, V c, V d)
    {
        a.AddTo(sums);
        b.AddTo(sums + V.Count);
        c.AddTo(sums + (2 * V.Count));
        d.AddTo(sums + (3 * V.Count));
    }

    // Prefetches the cache lines of four vectors.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch(E* at)
    {
        int bytes = 4 * V.Count * sizeof(E);
        Memory.Prefetch(at);
        if (bytes >= 2 * Memory.Line) Memory.Prefetch((byte*)at + Memory.Line);
        if (bytes < 4 * Memory.Line) return;
        Memory.Prefetch((byte*)at + (2 * Memory.Line));
        Memory.Prefetch((byte*)at + (3 * Memory.Line));
    }
}

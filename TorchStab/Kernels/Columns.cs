using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>
/// Passes over rows of channels, in which neighbouring elements belong to different channels (or positions). So every coefficient and every sum is a table
/// with one entry per column. Rows are processed in memory order, because memory outside the caches is read and written fastest in one stream per tensor.
/// Sums may process four rows at once, which reduces the reads and writes of the tables if rows are far apart.
/// </summary>
internal static unsafe class Columns<V, T, E>
    where V : unmanaged, IVector<V, T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where E : unmanaged
{
    /// <summary>The most rows summed in T before the sums are added to double: for x and its squares, and for gradients, whose sums cancel.</summary>
    public const int MostRows = 128, MostGradientRows = 8;

    /// <summary>shift = the mean of some rows. Elements are scaled before they are added, so that the sum cannot overflow.</summary>
    [MethodImpl(Jit.Loop)]
    public static void Shift(E* x, long stride, int rows, int width, T* shift)
    {
        T share = T.One / T.CreateTruncating(rows);
        new Span<T>(shift, width).Clear();
        for (int row = 0; row < rows; row++, x += stride)
        {
            int j = 0;
            for (; j <= width - V.Count; j += V.Count) V.MultiplyAdd(Lane.Load<V, T, E>(x + j), V.Create(share), V.Load(shift + j)).Store(shift + j);
            for (; j < width; j++) V1<T>.MultiplyAdd(Lane.Load<V1<T>, T, E>(x + j), V1<T>.Create(share), V1<T>.Load(shift + j)).Store(shift + j);
        }
    }

    /// <summary>Adds Σ(x − shift) and Σ(x − shift)² of each column over at most <see cref="MostRows"/> rows, four rows at once.</summary>
    [MethodImpl(Jit.Loop)]
    public static void AddMoments(E* x, long stride, int rows, int width, T* shift, T* sum, T* square)
    {
        int row = 0;
        for (; row <= rows - 4; row += 4, x += 4 * stride)
        {
            int j = 0;
            for (; j <= width - V.Count; j += V.Count) AddFour<V>(x + j, stride, shift + j, sum + j, square + j);
            for (; j < width; j++) AddFour<V1<T>>(x + j, stride, shift + j, sum + j, square + j);
        }
        AddMomentsInOrder(x, stride, rows - row, width, shift, sum, square);
    }

    /// <summary>As above, for any number of rows, one after the other.</summary>
    [MethodImpl(Jit.Loop)]
    public static void AddMomentsInOrder(E* x, long stride, int rows, int width, T* shift, T* sum, T* square)
    {
        for (; rows > 0; rows--, x += stride)
        {
            int j = 0;
            for (; j <= width - V.Count; j += V.Count) AddRow<V>(x + j, shift + j, sum + j, square + j);
            for (; j < width; j++) AddRow<V1<T>>(x + j, shift + j, sum + j, square + j);
        }
    }

    /// <summary>
    /// y = (x − high)·scale + offset, followed by a relu if <typeparamref name="Relu"/> is set. The last columns are processed by a vector that overlaps the
    /// one before it.
    /// </summary>
    [MethodImpl(Jit.Loop)]
    public static void Normalize<Relu, S>(E* x, E* y, long stride, int rows, int width, ColumnTables<T> tables)
        where Relu : struct, IFlag
        where S : struct, IFlag
    {
        int last = width - V.Count;
        T* high = tables.High, scale = tables.Scale, offset = tables.Offset;
        for (; rows > 0; rows--, x += stride, y += stride)
        {
            int j = 0;
            for (; j <= last; j += V.Count) NormalizeOne<V, Relu, S>(x + j, y + j, high + j, scale + j, offset + j);
            if (j < width && last >= 0) NormalizeOne<V, Relu, No>(x + last, y + last, high + last, scale + last, offset + last);
            else for (; j < width; j++) NormalizeOne<V1<T>, Relu, No>(x + j, y + j, high + j, scale + j, offset + j);
        }
    }

    /// <summary>
    /// Adds Σ d and Σ d·(x − high) of each column over at most <see cref="MostGradientRows"/> rows, four rows at once; d is the gradient multiplied by the
    /// activation's mask.
    /// </summary>
    [MethodImpl(Jit.Loop)]
    public static void AddSums<Relu>(E* x, E* dy, long stride, int rows, int width, ColumnTables<T> tables, T* sum, T* dot)
        where Relu : struct, IFlag
    {
        int row = 0;
        T* high = tables.High, scale = tables.Scale, offset = tables.Offset;
        for (; row <= rows - 4; row += 4, x += 4 * stride, dy += 4 * stride)
        {
            int j = 0;
            for (; j <= width - V.Count; j += V.Count) AddRows<V, Relu>(x + j, dy + j, stride, 4, high + j, scale + j, offset + j, sum + j, dot + j);
            for (; j < width; j++) AddRows<V1<T>, Relu>(x + j, dy + j, stride, 4, high + j, scale + j, offset + j, sum + j, dot + j);
        }
        AddSumsInOrder<Relu>(x, dy, stride, rows - row, width, tables, sum, dot);
    }

    /// <summary>As above, for any number of rows, one after the other.</summary>
    [MethodImpl(Jit.Loop)]
    public static void AddSumsInOrder<Relu>(E* x, E* dy, long stride, int rows, int width, ColumnTables<T> tables, T* sum, T* dot)
        where Relu : struct, IFlag
    {
        T* high = tables.High, scale = tables.Scale, offset = tables.Offset;
        for (; rows > 0; rows--, x += stride, dy += stride)
        {
            int j = 0;
            for (; j <= width - V.Count; j += V.Count) AddRows<V, Relu>(x + j, dy + j, 0, 1, high + j, scale + j, offset + j, sum + j, dot + j);
            for (; j < width; j++) AddRows<V1<T>, Relu>(x + j, dy + j, 0, 1, high + j, scale + j, offset + j, sum + j, dot + j);
        }
    }

    /// <summary>dx = d·a + (x − high)·b + c, where d is the gradient multiplied by the activation's mask.</summary>
    [MethodImpl(Jit.Loop)]
    public static void Differentiate<Relu, S>(E* x, E* dy, E* dx, long stride, int rows, int width, ColumnTables<T> tables)
        where Relu : struct, IFlag
        where S : struct, IFlag
    {
        int last = width - V.Count;
        T* high = tables.High, scale = tables.Scale, offset = tables.Offset, a = tables.A, b = tables.B, c = tables.C;
        for (; rows > 0; rows--, x += stride, dy += stride, dx += stride)
        {
            int j = 0;
            for (; j <= last; j += V.Count) DifferentiateOne<V, Relu, S>(x + j, dy + j, dx + j, high + j, scale + j, offset + j, a + j, b + j, c + j);
            if (j < width && last >= 0)
                DifferentiateOne<V, Relu, No>(x + last, dy + last, dx + last, high + last, scale + last, offset + last, a + last, b + last, c + last);
            else for (; j < width; j++) DifferentiateOne<V1<T>, Relu, No>(x + j, dy + j, dx + j, high + j, scale + j, offset + j, a + j, b + j, c + j);
        }
    }

    /// <summary>Adds sums to totals in double, and clears them.</summary>
    [MethodImpl(Jit.Loop)]
    public static void Flush(T* sums, double* totals, int width)
    {
        int j = 0;
        for (; j <= width - V.Count; j += V.Count) V.Load(sums + j).AddTo(totals + j);
        for (; j < width; j++) totals[j] += double.CreateTruncating(sums[j]);
        new Span<T>(sums, width).Clear();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddFour<U>(E* x, long stride, T* shift, T* sum, T* square) where U : unmanaged, IVector<U, T>
    {
        U h = U.Load(shift);
        U a = Lane.Load<U, T, E>(x) - h, b = Lane.Load<U, T, E>(x + stride) - h;
        U c = Lane.Load<U, T, E>(x + (2 * stride)) - h, d = Lane.Load<U, T, E>(x + (3 * stride)) - h;
        (U.Load(sum) + (a + b + (c + d))).Store(sum);
        U.MultiplyAdd(a, a, U.MultiplyAdd(b, b, U.MultiplyAdd(c, c, U.MultiplyAdd(d, d, U.Load(square))))).Store(square);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddRow<U>(E* x, T* shift, T* sum, T* square) where U : unmanaged, IVector<U, T>
    {
        U a = Lane.Load<U, T, E>(x) - U.Load(shift);
        (U.Load(sum) + a).Store(sum);
        U.MultiplyAdd(a, a, U.Load(square)).Store(square);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void NormalizeOne<U, Relu, S>(E* x, E* y, T* high, T* scale, T* offset)
        where U : unmanaged, IVector<U, T>
        where Relu : struct, IFlag
        where S : struct, IFlag
    {
        var normalized = U.MultiplyAdd(Lane.Load<U, T, E>(x) - U.Load(high), U.Load(scale), U.Load(offset));
        Lane.Store<U, T, E, S>(Relu.IsSet ? Lane.Relu<U, T>(normalized) : normalized, y);
    }

    // Processes four rows or one. Four rows are added to each other before they are added to the long sum, which halves its error.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddRows<U, Relu>(E* x, E* dy, long stride, int rows, T* high, T* scale, T* offset, T* sum, T* dot)
        where U : unmanaged, IVector<U, T>
        where Relu : struct, IFlag
    {
        U h = U.Load(high), a = Lane.Load<U, T, E>(x) - h, d = Behind<U, Relu>(a, Lane.Load<U, T, E>(dy), scale, offset), product = a * d;
        if (rows == 4)
        {
            U b = Lane.Load<U, T, E>(x + stride) - h, e = Behind<U, Relu>(b, Lane.Load<U, T, E>(dy + stride), scale, offset);
            U c = Lane.Load<U, T, E>(x + (2 * stride)) - h, f = Behind<U, Relu>(c, Lane.Load<U, T, E>(dy + (2 * stride)), scale, offset);
            U k = Lane.Load<U, T, E>(x + (3 * stride)) - h, g = Behind<U, Relu>(k, Lane.Load<U, T, E>(dy + (3 * stride)), scale, offset);
            d = d + e + (f + g);
            product = U.MultiplyAdd(b, e, product) + U.MultiplyAdd(c, f, k * g);
        }
        (U.Load(sum) + d).Store(sum);
        (U.Load(dot) + product).Store(dot);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void DifferentiateOne<U, Relu, S>(E* x, E* dy, E* dx, T* high, T* scale, T* offset, T* a, T* b, T* c)
        where U : unmanaged, IVector<U, T>
        where Relu : struct, IFlag
        where S : struct, IFlag
    {
        U centred = Lane.Load<U, T, E>(x) - U.Load(high), d = Behind<U, Relu>(centred, Lane.Load<U, T, E>(dy), scale, offset);
        Lane.Store<U, T, E, S>(U.MultiplyAdd(d, U.Load(a), U.MultiplyAdd(centred, U.Load(b), U.Load(c))), dx);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static U Behind<U, Relu>(U centred, U gradient, T* scale, T* offset)
        where U : unmanaged, IVector<U, T>
        where Relu : struct, IFlag => Relu.IsSet ? Lane.WherePositive<U, T>(U.MultiplyAdd(centred, U.Load(scale), U.Load(offset)), gradient) : gradient;
}

/// <summary>Rows of coefficients, with one entry per column, of the formulas y = (x − High)·Scale + Offset and dx = d·A + (x − High)·B + C.</summary>
internal readonly unsafe struct ColumnTables<T>(T* first, long width) where T : unmanaged
{
    public T* High => first;

    public T* Scale => first + width;

    public T* Offset => first + (2 * width);

    public T* A => first + (3 * width);

    public T* B => first + (4 * width);

    public T* C => first + (5 * width);

    /// <summary>The tables from a column on.</summary>
    public static ColumnTables<T> operator +(ColumnTables<T> tables, int column) => new(tables.First + column, tables.Width);

    private T* First => first;

    private long Width => width;
}

using System.Numerics;

namespace TorchStab.Kernels;

/// <summary>
/// Sums of the columns of many rows of channels. Runs of rows are summed in T, and each run's sums are added to double. <see cref="Stripes{V, T, E}"/> sums
/// rows of at most one stripe, and rows so wide that their sums do not fit in the first-level cache. For widths in between, stripes would read every row
/// several times; there <see cref="Columns{V, T, E}"/> reads rows in memory order, in one stream per tensor, with the sums in memory, which is 1.2 to 1.4
/// times as fast.
/// </summary>
internal static unsafe class RowSums<V, T, E>
    where V : unmanaged, IVector<V, T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where E : unmanaged
{
    private const int MostKept = 512;

    /// <summary>Adds Σ(x − shift) and Σ(x − shift)² of each column.</summary>
    public static void AddMoments(E* x, int rows, int width, T* shift, double* sum, double* square)
    {
        int run = Stripes<V, T, E>.RowsOfRun(width);
        T* sums = stackalloc T[2 * MostKept], squares = sums + MostKept;
        new Span<T>(sums, 2 * MostKept).Clear();
        for (; rows > 0; rows -= run, x += (long)run * width)
        {
            if (!InMemory(width))
            {
                Stripes<V, T, E>.AddMoments(x, width, Math.Min(run, rows), width, shift, sum, square);
                continue;
            }
            Columns<V, T, E>.AddMomentsInOrder(x, width, Math.Min(run, rows), width, shift, sums, squares);
            Columns<V, T, E>.Flush(sums, sum, width);
            Columns<V, T, E>.Flush(squares, square, width);
        }
    }

    /// <summary>Adds Σd and Σd·(x − high) of each column, where d is the gradient multiplied by the activation's mask.</summary>
    public static void AddGradients<Relu>(E* x, E* dy, int rows, int width, ColumnTables<T> tables, double* sum, double* dot) where Relu : struct, IFlag
    {
        int run = Stripes<V, T, E>.RowsOfRun(width);
        T* sums = stackalloc T[2 * MostKept], dots = sums + MostKept;
        new Span<T>(sums, 2 * MostKept).Clear();
        for (; rows > 0; rows -= run, x += (long)run * width, dy += (long)run * width)
        {
            if (!InMemory(width))
            {
                Stripes<V, T, E>.AddSums<Relu>(x, dy, width, Math.Min(run, rows), width, tables, sum, dot);
                continue;
            }
            Columns<V, T, E>.AddSumsInOrder<Relu>(x, dy, width, Math.Min(run, rows), width, tables, sums, dots);
            Columns<V, T, E>.Flush(sums, sum, width);
            Columns<V, T, E>.Flush(dots, dot, width);
        }
    }

    private static bool InMemory(int width) => width > 4 * V.Count && width <= MostKept;
}

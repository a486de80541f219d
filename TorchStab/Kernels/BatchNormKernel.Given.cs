using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>
/// Batch normalization with given statistics (eval mode). There are no sums, so one pass reads x in memory order and writes y, with non-temporal stores from
/// 16 MB on. All samples share the channels' coefficients, so <see cref="BatchNormRows{V, T, E}.Merge"/> computes them before the pass into a table. Small
/// planes use the same table: a table with an entry for each position was 1.5 times as slow.
/// </summary>
internal static unsafe class BatchNormGiven<V, T, E>
    where V : unmanaged, IVector<V, T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where E : unmanaged
{
    public static void Planes<Relu>(ChannelNormJob* job, int first, int last) where Relu : struct, IFlag
    {
        bool stream = job->Stream && Lane.CanStream<E>(job->Output, job->Positions);
        if (stream) Planes<Relu, Yes>(job, first, last);
        else Planes<Relu, No>(job, first, last);
        if (stream) Memory.Fence();
    }

    [MethodImpl(Jit.Loop)]
    private static void Planes<Relu, S>(ChannelNormJob* job, int first, int last)
        where Relu : struct, IFlag
        where S : struct, IFlag
    {
        int n = job->Positions, channel = first % job->Channels;
        ColumnTables<T> tables = new((T*)job->Tables, job->Channels);
        E* x = (E*)job->Input + ((long)first * n), y = (E*)job->Output + ((long)first * n);
        for (int item = first; item < last; item++, x += n, y += n)
        {
            Plane<V, T, E>.Normalize<Relu, S>(x, y, n, new(tables.High[channel], tables.Scale[channel], tables.Offset[channel]));
            if (++channel == job->Channels) channel = 0;
        }
    }
}

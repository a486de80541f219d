using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>
/// Batch normalization with given statistics (eval mode): nothing is summed, so x is read once, in the order of memory, and y written once, past
/// the caches from 16 MB on. Channels come back with every sample, so their coefficients are computed once, into a table
/// (<see cref="BatchNormRowsKernel.Merge"/>), before the pass. Planes of a few positions too: tables with an entry for each position, read beside x,
/// took half as long again.
/// </summary>
internal static unsafe class BatchNormGivenKernel
{
    /// <summary>Items: planes.</summary>
    public readonly struct Planes<Relu> : IKernel where Relu : struct, IFlag
    {
        public static void Run<V, T, E>(void* job, int first, int last)
            where V : unmanaged, IVector<V, T>
            where T : unmanaged, IBinaryFloatingPointIeee754<T>
            where E : unmanaged => BatchNormGiven<V, T, E>.Planes<Relu>((ChannelNormJob*)job, first, last);
    }
}

/// <summary>The passes with given statistics.</summary>
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

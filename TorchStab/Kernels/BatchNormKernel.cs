using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>
/// Batch normalization of each channel over samples and positions: y = (x − mean) / √(var + eps) · weight + bias, var biased; optionally followed by a relu.
/// <para>Planes (this file): a channel is one item, because its planes (up to a megabyte) stay in the second-level cache between the pass that sums them
/// (<see cref="Statistics{V, T, E}"/>) and the pass that writes the output. Memory is read once and written once, with non-temporal stores from 2 MB on,
/// which keep x in the cache. The planes of a channel are not contiguous, so the beginning of the next plane is prefetched.</para>
/// <para>Backward: one pass over x and dy computes Σd and Σd·(x − mean), a second pass computes dx = d·a + (x − mean)·b + c. The relu's mask is recomputed
/// from x, so only x and the statistics are saved.</para>
/// Other forms: planes of few positions, <see cref="BatchNormTiles{V, T, E}"/>; channels_last, <see cref="BatchNormRows{V, T, E}"/>; forward with given
/// statistics, <see cref="BatchNormGiven{V, T, E}"/>.
/// </summary>
internal readonly unsafe struct BatchNormKernel<Relu> : IFamily<BatchNormKernel<Relu>> where Relu : struct, IFlag
{
    /// <summary>Planes. Items: channels.</summary>
    public delegate*<ChannelNormJob*, int, int, void> Forward { get; private init; }

    /// <summary>Planes. Items: channels.</summary>
    public delegate*<ChannelNormJob*, int, int, void> Backward { get; private init; }

    /// <summary>Small planes. Items: tiles of as many channels as fit in <see cref="BatchNormTile.Columns"/> columns.</summary>
    public delegate*<ChannelNormJob*, int, int, void> ForwardTiles { get; private init; }

    /// <summary>Small planes. Items: tiles of as many channels as fit in <see cref="BatchNormTile.Columns"/> columns.</summary>
    public delegate*<ChannelNormJob*, int, int, void> BackwardTiles { get; private init; }

    /// <summary>Given statistics. Items: planes.</summary>
    public delegate*<ChannelNormJob*, int, int, void> GivenPlanes { get; private init; }

    /// <summary>Rows: a value near the mean of each channel. Items: groups of <see cref="ChannelNormJob.MergeWidth"/> channels.</summary>
    public delegate*<ChannelNormJob*, int, int, void> Shift { get; private init; }

    /// <summary>Rows: the sums of the channels in each block. Items: blocks of rows.</summary>
    public delegate*<ChannelNormJob*, int, int, void> Measure { get; private init; }

    /// <summary>Rows: the sums of the channels in each block. Items: blocks of rows.</summary>
    public delegate*<ChannelNormJob*, int, int, void> Sum { get; private init; }

    /// <summary>The coefficients of each channel, from the sums of the blocks. Items: groups of <see cref="ChannelNormJob.MergeWidth"/> channels.</summary>
    public delegate*<ChannelNormJob*, int, int, void> Merge { get; private init; }

    /// <summary>The coefficients of each channel, from the sums of the blocks. Items: groups of <see cref="ChannelNormJob.MergeWidth"/> channels.</summary>
    public delegate*<ChannelNormJob*, int, int, void> MergeSums { get; private init; }

    /// <summary>Rows: the output, and the input's gradient. Items: blocks of rows.</summary>
    public delegate*<ChannelNormJob*, int, int, void> Normalize { get; private init; }

    /// <summary>Rows: the output, and the input's gradient. Items: blocks of rows.</summary>
    public delegate*<ChannelNormJob*, int, int, void> Differentiate { get; private init; }

    static BatchNormKernel<Relu> IFamily<BatchNormKernel<Relu>>.Of<V, T, E>() => new()
    {
        Forward = &BatchNormPlanes<V, T, E>.Forward<Relu>,
        Backward = &BatchNormPlanes<V, T, E>.Backward<Relu>,
        ForwardTiles = &BatchNormTiles<V, T, E>.Forward<Relu>,
        BackwardTiles = &BatchNormTiles<V, T, E>.Backward<Relu>,
        GivenPlanes = &BatchNormGiven<V, T, E>.Planes<Relu>,
        Shift = &BatchNormRows<V, T, E>.Shift,
        Measure = &BatchNormRows<V, T, E>.Measure,
        Sum = &BatchNormRows<V, T, E>.Sum<Relu>,
        Merge = &BatchNormRows<V, T, E>.Merge,
        MergeSums = &BatchNormRows<V, T, E>.MergeSums,
        Normalize = &BatchNormRows<V, T, E>.Normalize<Relu>,
        Differentiate = &BatchNormRows<V, T, E>.Differentiate<Relu>,
    };
}

/// <summary>The passes over channels whose planes are contiguous.</summary>
internal static unsafe class BatchNormPlanes<V, T, E>
    where V : unmanaged, IVector<V, T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where E : unmanaged
{
    public static void Forward<Relu>(ChannelNormJob* job, int first, int last) where Relu : struct, IFlag
    {
        bool stream = job->Stream && Lane.CanStream<E>(job->Output, job->Positions);
        for (int channel = first; channel < last; channel++)
        {
            Measure(job, channel);
            if (stream) Normalize<Relu, Yes>(job, channel);
            else Normalize<Relu, No>(job, channel);
        }
        if (stream) Memory.Fence();
    }

    public static void Backward<Relu>(ChannelNormJob* job, int first, int last) where Relu : struct, IFlag
    {
        bool stream = job->Stream && Lane.CanStream<E>(job->InputGradient, job->Positions);
        for (int channel = first; channel < last; channel++)
        {
            var terms = BatchNormTerms<T>.Forward(job, channel);
            double sum = 0, dot = 0;
            if (!job->HasStatistics || job->WeightGradient != null || job->BiasGradient != null) Sum<Relu>(job, channel, terms, ref sum, ref dot);
            var slope = BatchNormTerms<T>.Backward(job, channel, sum, dot);
            if (job->InputGradient == null) continue;
            if (stream) Differentiate<Relu, Yes>(job, channel, terms, slope);
            else Differentiate<Relu, No>(job, channel, terms, slope);
        }
        if (stream) Memory.Fence();
    }

    /// <summary>Computes mean and variance of a channel.</summary>
    [MethodImpl(Jit.Loop)]
    public static void Measure(ChannelNormJob* job, int channel)
    {
        int n = job->Positions;
        long stride = (long)job->Channels * n;
        double count = (double)job->Samples * n, sum = 0, square = 0;
        E* x = (E*)job->Input + ((long)channel * n);
        T shift = Statistics<V, T, E>.Shift(x, n);
        for (int sample = 0; sample < job->Samples; sample++)
        {
            Plane<V, T, E>.Prefetch(x + ((sample + 1) * stride), n);
            Statistics<V, T, E>.Add(x + (sample * stride), n, shift, ref sum, ref square);
        }
        double offset = sum / count, mean = double.CreateTruncating(shift) + offset, variance = (square / count) - (offset * offset);
        if (!Statistics<V, T, E>.IsAccurate(variance, offset)) (mean, variance) = Centred(job, channel, mean);
        BatchNormTerms<T>.Set(job, channel, mean, variance);
    }

    /// <summary>Computes mean and variance in double, from sums about an approximate mean.</summary>
    public static (double Mean, double Variance) Centred(ChannelNormJob* job, int channel, double mean)
    {
        int n = job->Positions;
        double count = (double)job->Samples * n, sum = 0, square = 0;
        mean = Statistics<V, T, E>.Centre(mean);
        for (int sample = 0; sample < job->Samples; sample++)
            Statistics<V, T, E>.AddCentred((E*)job->Input + ((((long)sample * job->Channels) + channel) * n), n, mean, ref sum, ref square);
        double offset = sum / count;
        return (mean + offset, Math.Max(0, (square / count) - (offset * offset)));
    }

    [MethodImpl(Jit.Loop)]
    private static void Normalize<Relu, S>(ChannelNormJob* job, int channel)
        where Relu : struct, IFlag
        where S : struct, IFlag
    {
        int n = job->Positions;
        var terms = BatchNormTerms<T>.Forward(job, channel);
        for (int sample = 0; sample < job->Samples; sample++)
        {
            long at = (((long)sample * job->Channels) + channel) * n;
            Plane<V, T, E>.Prefetch((E*)job->Input + at + ((long)job->Channels * n), n);
            Plane<V, T, E>.Normalize<Relu, S>((E*)job->Input + at, (E*)job->Output + at, n, terms);
        }
    }

    [MethodImpl(Jit.Loop)]
    private static void Sum<Relu>(ChannelNormJob* job, int channel, Affine<T> terms, ref double sum, ref double dot) where Relu : struct, IFlag
    {
        int n = job->Positions;
        for (int sample = 0; sample < job->Samples; sample++)
        {
            long at = (((long)sample * job->Channels) + channel) * n;
            Plane<V, T, E>.AddSums<Relu>((E*)job->Input + at, (E*)job->OutputGradient + at, n, terms, ref sum, ref dot);
        }
        dot -= sum * (job->Mean[channel] - double.CreateTruncating(terms.High));
    }

    [MethodImpl(Jit.Loop)]
    private static void Differentiate<Relu, S>(ChannelNormJob* job, int channel, Affine<T> terms, Slope<T> slope)
        where Relu : struct, IFlag
        where S : struct, IFlag
    {
        int n = job->Positions;
        for (int sample = 0; sample < job->Samples; sample++)
        {
            long at = (((long)sample * job->Channels) + channel) * n;
            Plane<V, T, E>.Differentiate<Relu, S>((E*)job->Input + at, (E*)job->OutputGradient + at, (E*)job->InputGradient + at, n, terms, slope);
        }
    }
}

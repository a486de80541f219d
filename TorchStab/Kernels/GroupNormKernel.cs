using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>
/// Group normalization: y = (x − mean) / √(var + eps) · weight + bias, with mean and biased variance of each sample over the channels of a group and all
/// positions. Weight and bias are per channel.
/// <para>A group of one sample is one item and is contiguous. The first pass sums it (<see cref="Statistics{V, T, E}"/>), the second reads it again from
/// cache and writes each channel. Memory is read once and written once, with non-temporal stores from 2 MB on.</para>
/// <para>Backward: one pass over x and dy computes each channel's Σdy and Σdy·(x − mean), which also give the group's sums; a second pass computes dx of each
/// channel. Each sample has its own terms of dweight and dbias, which <see cref="Merge"/> adds in the order of samples.</para>
/// </summary>
internal readonly unsafe struct GroupNormKernel : IFamily<GroupNormKernel>
{
    /// <summary>Items: samples × groups.</summary>
    public delegate*<ChannelNormJob*, int, int, void> Forward { get; private init; }

    /// <summary>Items: samples × groups.</summary>
    public delegate*<ChannelNormJob*, int, int, void> Backward { get; private init; }

    /// <summary>Items: groups of <see cref="ChannelNormJob.MergeWidth"/> channels.</summary>
    public delegate*<ChannelNormJob*, int, int, void> Merge { get; private init; }

    static GroupNormKernel IFamily<GroupNormKernel>.Of<V, T, E>() => new()
    {
        Forward = &Groups<V, T, E>.Forward,
        Backward = &Groups<V, T, E>.Backward,
        Merge = &Groups<V, T, E>.Merge,
    };
}

/// <summary>The passes over groups of channels of one sample.</summary>
internal static unsafe class Groups<V, T, E>
    where V : unmanaged, IVector<V, T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where E : unmanaged
{
    public static void Forward(ChannelNormJob* job, int first, int last)
    {
        int n = job->Positions, channels = job->Channels / job->Groups;
        bool stream = job->Stream && Lane.CanStream<E>(job->Output, n);
        for (int item = first; item < last; item++)
        {
            E* x = (E*)job->Input + ((long)item * channels * n), y = (E*)job->Output + ((long)item * channels * n);
            var (mean, variance) = Statistics<V, T, E>.Of(x, channels * n);
            BatchNormTerms<T>.Set(job, item, mean, variance);
            if (stream) Normalize<Yes>(job, item, x, y);
            else Normalize<No>(job, item, x, y);
        }
        if (stream) Memory.Fence();
    }

    public static void Backward(ChannelNormJob* job, int first, int last)
    {
        bool stream = job->Stream && Lane.CanStream<E>(job->InputGradient, job->Positions);
        for (int item = first; item < last; item++)
        {
            var (sum, dot) = Sum(job, item);
            if (job->InputGradient == null) continue;
            if (stream) Differentiate<Yes>(job, item, sum, dot);
            else Differentiate<No>(job, item, sum, dot);
        }
        if (stream) Memory.Fence();
    }

    public static void Merge(ChannelNormJob* job, int first, int last)
    {
        int end = Math.Min(last * ChannelNormJob.MergeWidth, job->Channels);
        for (int c = first * ChannelNormJob.MergeWidth; c < end; c++)
        {
            double sum = 0, dot = 0;
            for (int sample = 0; sample < job->Samples; sample++)
            {
                double* sums = job->Sums + (2 * (((long)sample * job->Channels) + c));
                sum += sums[0];
                dot += sums[1];
            }
            Parameter<T>.Write(job->BiasGradient, c, sum);
            Parameter<T>.Write(job->WeightGradient, c, dot);
        }
    }

    [MethodImpl(Jit.Loop)]
    private static void Normalize<S>(ChannelNormJob* job, int item, E* x, E* y) where S : struct, IFlag
    {
        int n = job->Positions, channels = job->Channels / job->Groups, begin = item % job->Groups * channels;
        for (int k = 0; k < channels; k++, x += n, y += n) Plane<V, T, E>.Normalize<No, S>(x, y, n, BatchNormTerms<T>.Forward(job, item, begin + k));
    }

    // Writes Σdy and Σdy·x̂ of each channel to its sums, and returns the group's totals, in which each channel is multiplied by its weight.
    [MethodImpl(Jit.Loop)]
    private static (double Sum, double Dot) Sum(ChannelNormJob* job, int item)
    {
        int n = job->Positions, channels = job->Channels / job->Groups, begin = item % job->Groups * channels;
        double total = 0, totalDot = 0, r = job->InverseDeviation[item];
        var centre = Centre(job, item);
        double lack = job->Mean[item] - double.CreateTruncating(centre.High);
        double* sums = job->Sums + (2L * item * channels);
        E* x = (E*)job->Input + ((long)item * channels * n), dy = (E*)job->OutputGradient + ((long)item * channels * n);
        for (int k = 0; k < channels; k++, x += n, dy += n, sums += 2)
        {
            double sum = 0, dot = 0, weight = Parameter<T>.Read(job->Weight, begin + k, 1);
            Plane<V, T, E>.AddSums<No>(x, dy, n, centre, ref sum, ref dot);
            dot -= sum * lack;
            if (!Magnitude<T>.HoldsSums(sum, dot, job->Variance[item], r, n)) job->ReportExtreme();
            dot *= r;
            (sums[0], sums[1]) = (sum, dot);
            total += weight * sum;
            totalDot += weight * dot;
        }
        return (total, totalDot);
    }

    // dx = r·(weight·dy − sum/n − x̂·dot/n) with n values in the group. Only the coefficient of dy differs between channels.
    [MethodImpl(Jit.Loop)]
    private static void Differentiate<S>(ChannelNormJob* job, int item, double sum, double dot) where S : struct, IFlag
    {
        int n = job->Positions, channels = job->Channels / job->Groups, begin = item % job->Groups * channels;
        double r = job->InverseDeviation[item], count = (double)channels * n, mean = sum / count, through = dot / count;
        var slope = Slope<T>.Of(r, -r * r * through, -r * mean, job->Mean[item]);
        if (!Magnitude<T>.HoldsSlope(slope, r, mean, through, count)) job->ReportExtreme();
        var centre = Centre(job, item);
        long at = (long)item * channels * n;
        for (int k = 0; k < channels; k++, at += n)
        {
            T scale = T.CreateTruncating(Parameter<T>.Read(job->Weight, begin + k, 1) * r);
            if (!T.IsFinite(scale)) job->ReportExtreme();
            Plane<V, T, E>.Differentiate<No, S>((E*)job->Input + at, (E*)job->OutputGradient + at, (E*)job->InputGradient + at, n, centre,
                slope with { Scale = scale });
        }
    }

    // The backward passes use only the mean, which all channels of the group share.
    private static Affine<T> Centre(ChannelNormJob* job, int item) => new(T.CreateTruncating(job->Mean[item]), T.Zero, T.Zero);
}

using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>The coefficients of one channel of a batch normalization, computed from its statistics and sums.</summary>
internal static unsafe class BatchNormTerms<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    public static void Set(ChannelNormJob* job, int channel, double mean, double variance)
    {
        job->Mean[channel] = mean;
        job->Variance[channel] = variance;
        double square = variance + job->Epsilon;
        job->InverseDeviation[channel] = 1 / Math.Sqrt(square);
        if (!Magnitude<T>.Holds(square)) Magnitude<T>.Report(job->Extreme, mean);
    }

    public static Affine<T> Forward(ChannelNormJob* job, int channel) => Forward(job, channel, channel);

    /// <summary>As above, for statistics of samples and groups: <paramref name="item"/> is the index of the channel's statistics.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Affine<T> Forward(ChannelNormJob* job, int item, int channel)
    {
        double mean = job->Mean[item], r = job->InverseDeviation[item];
        double weight = Parameter<T>.Read(job->Weight, channel, 1), bias = Parameter<T>.Read(job->Bias, channel, 0);
        var terms = Affine<T>.Of(mean, r, weight, bias);
        if (!Magnitude<T>.Holds(terms, mean, r, weight, bias)) job->ReportExtreme();
        return terms;
    }

    /// <summary>
    /// Writes the channel's dweight = r·Σd·(x − mean) and dbias = Σd. With scale = weight·r and n values per channel, dx = scale·(d − Σd/n − (x −
    /// mean)·r²·Σd·(x − mean)/n). No gradient passes through given statistics: dx = scale·d.
    /// </summary>
    public static Slope<T> Backward(ChannelNormJob* job, int channel, double sum, double dot)
    {
        double r = job->InverseDeviation[channel], scale = Parameter<T>.Read(job->Weight, channel, 1) * r;
        Parameter<T>.Write(job->WeightGradient, channel, dot * r);
        Parameter<T>.Write(job->BiasGradient, channel, sum);
        double n = (double)job->Samples * job->Positions, mean = job->HasStatistics ? 0 : sum / n, through = job->HasStatistics ? 0 : r * dot / n;
        var slope = Slope<T>.Of(scale, -scale * r * through, -scale * mean, job->HasStatistics ? 0 : job->Mean[channel]);
        if (!Magnitude<T>.HoldsSums(sum, dot, job->HasStatistics ? 1 : job->Variance[channel], r, n)
            || !Magnitude<T>.HoldsSlope(slope, scale, mean, through, n)) job->ReportExtreme();
        return slope;
    }
}

using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>
/// What BatchNorm, GroupNorm and InstanceNorm share: samples × channels × positions, with a weight and a bias per channel. Pointers are to
/// the element type but the statistics and sums (double) and the tables (the accumulator type).
/// </summary>
internal unsafe struct ChannelNormJob
{
    public void* Input, Output, OutputGradient, InputGradient;

    /// <summary>Per channel; null for a missing one, which is 1 or 0.</summary>
    public void* Weight, Bias;

    /// <summary>Null where not wanted.</summary>
    public void* WeightGradient, BiasGradient;

    /// <summary>Per channel (BatchNorm), or per sample and group.</summary>
    public double* Mean, Variance, InverseDeviation;

    /// <summary>Partial sums: per block of rows and channel, or per sample and channel.</summary>
    public double* Sums;

    /// <summary>channels_last: what each channel's elements are multiplied and shifted by, a row of channels for each coefficient.</summary>
    public void* Tables;

    public int Samples, Channels, Positions, Groups;

    /// <summary>channels_last: rows of channels, in blocks.</summary>
    public long Rows;

    public int BlockRows, Blocks;
    public double Epsilon;

    /// <summary>
    /// Set to 1 where values are finite but their deviation, or what is computed from it, is beyond <see cref="Magnitude{T}"/>: the results are then of no
    /// use. In a backward pass also where a gradient is not finite.
    /// </summary>
    public int* Extreme;

    /// <summary>Whether the statistics are given and no gradient passes through them (BatchNorm in eval mode).</summary>
    public bool Given;

    /// <summary>Whether the output is large enough for non-temporal stores (checked against alignment by the kernel).</summary>
    public bool Stream;

    public readonly void ReportExtreme()
    {
        if (Extreme != null) *Extreme = 1;
    }
}

/// <summary>y = (x − High) · Scale + Offset: a channel's normalization in T. High is the mean's value in T; what it lacks is in Offset.</summary>
internal readonly record struct Affine<T>(T High, T Scale, T Offset)
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    public static Affine<T> Of(double mean, double inverseDeviation, double weight, double bias)
    {
        T high = T.CreateTruncating(mean);
        double scale = weight * inverseDeviation;
        return new(high, T.CreateTruncating(scale), T.CreateTruncating(bias + ((double.CreateTruncating(high) - mean) * scale)));
    }
}

/// <summary>dx = d · Scale + (x − High) · Slope + Constant: a channel's input gradient in T, d its output's gradient behind the activation.</summary>
internal readonly record struct Slope<T>(T Scale, T Rate, T Constant)
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>
    /// dx = scale·d + rate·(x − mean) + constant with mean taken apart as in <see cref="Affine{T}"/>.
    /// </summary>
    public static Slope<T> Of(double scale, double rate, double constant, double mean)
    {
        double high = double.CreateTruncating(T.CreateTruncating(mean));
        return new(T.CreateTruncating(scale), T.CreateTruncating(rate), T.CreateTruncating(constant + (rate * (high - mean))));
    }
}

/// <summary>Reads and writes of single parameters.</summary>
internal static unsafe class Parameter<T, E>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where E : unmanaged
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double Read(void* values, int i, double missing) => values == null ? missing : V1<T>.SumWide(Lane.Load<V1<T>, T, E>((E*)values + i));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Write(void* values, int i, double value)
    {
        if (values != null) Lane.Store<V1<T>, T, E>(V1<T>.Create(T.CreateTruncating(value)), (E*)values + i);
    }
}

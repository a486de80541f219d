using System.Numerics;
using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>
/// The job of BatchNorm, GroupNorm and InstanceNorm: samples × channels × positions, with a weight and a bias per channel. Pointers are to the element type,
/// except statistics and sums (double), and the parameters, their gradients and tables (the type of the arithmetic).
/// </summary>
internal unsafe struct ChannelNormJob
{
    /// <summary>Channels of an item of the kernels that merge sums.</summary>
    public const int MergeWidth = 64;

    public void* Input, Output, OutputGradient, InputGradient;

    /// <summary>Per channel; null if missing: then the weight is 1 and the bias 0.</summary>
    public void* Weight, Bias;

    /// <summary>Null if not required.</summary>
    public void* WeightGradient, BiasGradient;

    /// <summary>Per channel (BatchNorm), or per sample and group.</summary>
    public double* Mean, Variance, InverseDeviation;

    /// <summary>Partial sums: per block of rows and channel, or per sample and channel.</summary>
    public double* Sums;

    /// <summary>channels_last: the coefficients of each channel, one row of channels per coefficient (<see cref="ColumnTables{T}"/>).</summary>
    public void* Tables;

    public int Samples, Channels, Positions, Groups;

    /// <summary>channels_last: the number of rows of channels, which are divided into blocks.</summary>
    public long Rows;

    public int BlockRows, Blocks;
    public double Epsilon;

    /// <summary>
    /// A kernel sets it to 1 if values are finite but their deviation, or a coefficient, is outside the range of <see cref="Magnitude{T}"/>; the results are
    /// then invalid. In a backward pass also if a gradient is not finite.
    /// </summary>
    public int* Extreme;

    /// <summary>Whether the statistics are given and no gradient passes through them (BatchNorm in eval mode).</summary>
    public bool HasStatistics;

    /// <summary>Whether the output is large enough for non-temporal stores (checked against alignment by the kernel).</summary>
    public bool Stream;

    public readonly void ReportExtreme()
    {
        if (Extreme != null) *Extreme = 1;
    }
}

/// <summary>y = (x − High) · Scale + Offset: a channel's normalization in T. High is the mean rounded to T; Offset includes the rounding error.</summary>
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

/// <summary>
/// dx = d · Scale + (x − High) · Rate + Constant: a channel's input gradient in T, where d is the output's gradient multiplied by the activation's mask.
/// </summary>
internal readonly record struct Slope<T>(T Scale, T Rate, T Constant)
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>dx = scale·d + rate·(x − mean) + constant with the mean split as in <see cref="Affine{T}"/>.</summary>
    public static Slope<T> Of(double scale, double rate, double constant, double mean)
    {
        double high = double.CreateTruncating(T.CreateTruncating(mean));
        return new(T.CreateTruncating(scale), T.CreateTruncating(rate), T.CreateTruncating(constant + (rate * (high - mean))));
    }
}

/// <summary>Reads and writes single elements of parameters.</summary>
internal static unsafe class Parameter<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double Read(void* values, int i, double missing) => values == null ? missing : double.CreateTruncating(((T*)values)[i]);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Write(void* values, int i, double value)
    {
        if (values != null) ((T*)values)[i] = T.CreateTruncating(value);
    }
}

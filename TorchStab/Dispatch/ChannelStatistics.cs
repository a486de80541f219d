using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>Statistics between the kernels' doubles and small tensors of float32 or float64.</summary>
internal static unsafe class ChannelStatistics
{
    [ThreadStatic]
    private static NativeList<double>? t_kept;

    /// <summary>The means that a call left in its state, as a new tensor of the accumulation type of <paramref name="input"/>.</summary>
    public static Tensor Mean(NodeState state, long[] shape, Tensor input) => ToTensor(state.Statistics, shape, input);

    /// <summary>The biased variances, which follow the means.</summary>
    public static Tensor Variance(NodeState state, long[] shape, Tensor input) => ToTensor(state.Statistics + Count(shape), shape, input);

    private static long Count(long[] shape)
    {
        long count = 1;
        foreach (long size in shape) count *= size;
        return count;
    }

    /// <summary>Statistics of each channel as a new tensor of the accumulation type of <paramref name="input"/>.</summary>
    public static Tensor ToTensor(ReadOnlySpan<double> values, Tensor input)
    {
        fixed (double* first = values) return ToTensor(first, [values.Length], input);
    }

    private static Tensor ToTensor(double* values, long[] shape, Tensor input)
    {
        bool wide = input.dtype == ScalarType.Float64;
        var tensor = empty(shape, dtype: wide ? ScalarType.Float64 : ScalarType.Float32, device: CPU);
        int count = (int)LibTorch.Numel(tensor.Handle);
        if (wide) new Span<double>(values, count).CopyTo(TensorMemory.Span<double>(tensor));
        else
        {
            var target = TensorMemory.Span<float>(tensor);
            for (int i = 0; i < count; i++) target[i] = (float)values[i];
        }
        return tensor;
    }

    /// <summary>
    /// Fills mean, variance and inverse deviation of each channel from tensors that <see cref="KernelSelection.TakesStatistics"/> has let through.
    /// </summary>
    public static void Fill(double* statistics, Tensor mean, Tensor variance, double eps)
    {
        int channels = checked((int)LibTorch.Numel(mean.Handle));
        Widen(mean, statistics, channels);
        Widen(variance, statistics + channels, channels);
        for (int c = 0; c < channels; c++) statistics[(2 * channels) + c] = 1 / Math.Sqrt(statistics[channels + c] + eps);
    }

    /// <summary>
    /// running ← (1 − momentum)·running + momentum·factor·batch, in double, rounded once; no value above <paramref name="most"/> enters or is left.
    /// </summary>
    public static void Blend(Tensor running, Tensor batch, double factor, double momentum, double most)
    {
        int channels = checked((int)LibTorch.Numel(running.Handle));
        var kept = t_kept ??= new NativeList<double>();
        kept.Resize(channels);
        Widen(batch, kept.Items, channels);
        Blend(running, new ReadOnlySpan<double>(kept.Items, channels), factor, momentum, most);
    }

    /// <summary>The same with statistics in double.</summary>
    public static void Blend(Tensor running, ReadOnlySpan<double> batch, double factor, double momentum, double most)
    {
        if (running.dtype == ScalarType.Float64)
        {
            var values = TensorMemory.Span<double>(running);
            for (int c = 0; c < values.Length; c++) values[c] = Blend(values[c], batch[c]);
        }
        else
        {
            var values = TensorMemory.Span<float>(running);
            for (int c = 0; c < values.Length; c++) values[c] = (float)Blend(values[c], batch[c]);
        }

        double Blend(double old, double value)
        {
            double blended = ((1 - momentum) * old) + (momentum * factor * value);
            if (blended <= most && factor * value <= most) return blended;
            return Math.Min(most, ((1 - momentum) * Math.Min(most, old)) + (momentum * Math.Min(most, factor * value))); // Math.Min keeps NaN
        }
    }

    /// <summary>The statistics that a call left in its state, as a copy that holds until the thread's next one: the state may go any time.</summary>
    public static ChannelMoments Keep(NodeState state)
    {
        var kept = t_kept ??= new NativeList<double>();
        int count = state.Middle;
        kept.Resize(2 * count);
        new ReadOnlySpan<double>(state.Statistics, 2 * count).CopyTo(new(kept.Items, 2 * count));
        return new() { Mean = new(kept.Items, count), Variance = new(kept.Items + count, count) };
    }

    /// <summary>Adds 1 to a counter that <see cref="KernelSelection.TakesCounter"/> has let through.</summary>
    public static void Increment(Tensor counter) => ++*TensorMemory.Pointer<long>(counter);

    private static void Widen(Tensor from, double* into, int count)
    {
        if (from.dtype == ScalarType.Float64) TensorMemory.Span<double>(from).CopyTo(new(into, count));
        else
        {
            float* values = TensorMemory.Pointer<float>(from);
            for (int i = 0; i < count; i++) into[i] = values[i];
        }
    }
}

/// <summary>Means and biased variances, an entry for each channel.</summary>
internal readonly ref struct ChannelMoments
{
    public ReadOnlySpan<double> Mean { get; init; }

    public ReadOnlySpan<double> Variance { get; init; }
}

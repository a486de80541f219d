using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>Converts statistics between the kernels' doubles and small tensors of float32 or float64.</summary>
internal static unsafe class ChannelStatistics
{
    /// <summary>Returns a call's statistics as a new tensor: float64 if <paramref name="input"/> is float64, otherwise float32.</summary>
    public static Tensor ToTensor(ReadOnlySpan<double> values, ReadOnlySpan<long> shape, Tensor input)
    {
        bool wide = input.dtype == ScalarType.Float64;
        var tensor = empty(shape, dtype: wide ? ScalarType.Float64 : ScalarType.Float32, device: CPU);
        if (wide) values.CopyTo(TensorMemory.Span<double>(tensor));
        else
        {
            var target = TensorMemory.Span<float>(tensor);
            for (int i = 0; i < target.Length; i++) target[i] = (float)values[i];
        }
        return tensor;
    }

    /// <summary>
    /// Fills mean, variance and inverse deviation of each channel from tensors that <see cref="KernelSelection.TakesStatistics"/> accepted.
    /// </summary>
    public static void Fill(double* statistics, Tensor mean, Tensor variance, double eps)
    {
        int channels = checked((int)LibTorch.Numel(mean.Handle));
        Widen(mean, statistics, channels);
        Widen(variance, statistics + channels, channels);
        for (int c = 0; c < channels; c++) statistics[(2 * channels) + c] = 1 / Math.Sqrt(statistics[channels + c] + eps);
    }

    /// <summary>
    /// running ← (1 − momentum)·running + momentum·factor·batch, computed in double and rounded once. No batch value and no result exceeds
    /// <paramref name="most"/>: larger values are replaced by it.
    /// </summary>
    public static void Blend(Tensor running, Tensor batch, double factor, double momentum, double most)
    {
        int channels = checked((int)LibTorch.Numel(running.Handle));
        double* wide = (double*)Scratch.Rent((long)channels * sizeof(double));
        Widen(batch, wide, channels);
        Blend(running, new ReadOnlySpan<double>(wide, channels), factor, momentum, most);
        Scratch.Return(wide);
    }

    /// <summary>As above, with the batch's statistics in double.</summary>
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

    /// <summary>Adds 1 to a counter that <see cref="KernelSelection.TakesCounter"/> accepted.</summary>
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

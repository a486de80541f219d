using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>Statistics between the kernels' doubles and small tensors of float32 or float64.</summary>
internal static unsafe class ChannelStatistics
{
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

    private static Tensor ToTensor(double* values, long[] shape, Tensor input)
    {
        bool wide = input.dtype == ScalarType.Float64;
        var tensor = empty(shape, dtype: wide ? ScalarType.Float64 : ScalarType.Float32);
        int count = (int)LibTorch.Numel(tensor.Handle);
        if (wide) new Span<double>(values, count).CopyTo(TensorMemory.Span<double>(tensor));
        else for (int i = 0; i < count; i++) TensorMemory.Pointer<float>(tensor)[i] = (float)values[i];
        return tensor;
    }

    /// <summary>Reads a tensor that <see cref="KernelSelection.TakesStatistics"/> has let through.</summary>
    public static double Read(Tensor statistics, int i) =>
        statistics.dtype == ScalarType.Float64 ? TensorMemory.Pointer<double>(statistics)[i] : TensorMemory.Pointer<float>(statistics)[i];

    /// <summary>Fills mean, variance and inverse deviation of each channel from given tensors.</summary>
    public static void Fill(double* statistics, Tensor mean, Tensor variance, double eps)
    {
        int channels = (int)LibTorch.Numel(mean.Handle);
        for (int c = 0; c < channels; c++)
        {
            statistics[c] = Read(mean, c);
            statistics[channels + c] = Read(variance, c);
            statistics[(2 * channels) + c] = 1 / Math.Sqrt(statistics[channels + c] + eps);
        }
    }

    /// <summary>running ← (1 − momentum)·running + momentum·factor·batch, in double, rounded once.</summary>
    public static void Blend(Tensor running, Tensor batch, double factor, double momentum)
    {
        int channels = (int)LibTorch.Numel(running.Handle);
        bool wide = running.dtype == ScalarType.Float64;
        for (int c = 0; c < channels; c++)
        {
            double blended = ((1 - momentum) * Read(running, c)) + (momentum * factor * Read(batch, c));
            if (wide) TensorMemory.Pointer<double>(running)[c] = blended;
            else TensorMemory.Pointer<float>(running)[c] = (float)blended;
        }
    }
}

using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>Glorot and Bengio 2010: variance gain²·2/(fan_in + fan_out).</summary>
internal static class Xavier
{
    public static Tensor Uniform(Tensor tensor, double gain, Generator? generator) =>
        Initialization.Uniform.Symmetric(tensor, Math.Sqrt(3.0) * Std(tensor, gain), generator, nameof(gain));

    public static Tensor Normal(Tensor tensor, double gain, Generator? generator) =>
        Initialization.Normal.Fill(tensor, 0, Std(tensor, gain), generator, nameof(gain));

    /// <summary>gain·√(2/(fan_in + fan_out)), with PyTorch's order of operations and so its rounding.</summary>
    private static double Std(Tensor tensor, double gain)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        var (fanIn, fanOut) = Fan.Of(tensor);
        if (fanIn + fanOut == 0)
            throw new ArgumentException($"float division by zero: both fans of shape {Repr.List(tensor.shape)} are 0", nameof(tensor));
        return gain * Math.Sqrt(2.0 / (fanIn + fanOut));
    }
}

using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>He et al. 2015: variance gain²/fan.</summary>
internal static class Kaiming
{
    public static Tensor Uniform(Tensor tensor, double a, FanMode mode, Nonlinearity nonlinearity, Generator? generator) =>
        Std(tensor, a, mode, nonlinearity) is { } std ? Initialization.Uniform.Symmetric(tensor, Math.Sqrt(3.0) * std, generator, nameof(a)) : tensor;

    public static Tensor Normal(Tensor tensor, double a, FanMode mode, Nonlinearity nonlinearity, Generator? generator) =>
        Std(tensor, a, mode, nonlinearity) is { } std ? Initialization.Normal.Fill(tensor, 0, std, generator, nameof(a)) : tensor;

    /// <summary>gain/√fan; null for an empty tensor, which PyTorch returns before it checks the other arguments.</summary>
    private static double? Std(Tensor tensor, double a, FanMode mode, Nonlinearity nonlinearity)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (tensor.NumberOfElements == 0) return null;
        long fan = Fan.Of(tensor, mode);
        return Gain.Of(nonlinearity, a) / Math.Sqrt(fan);
    }
}

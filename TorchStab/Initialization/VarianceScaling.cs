using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>Variance scaling as in Keras and JAX: draws with variance scale/fan from one of three distributions. LeCun is a special case.</summary>
internal static class VarianceScaling
{
    /// <summary>The standard deviation of a standard normal distribution truncated at ±2.</summary>
    private const double TruncatedStd = 0.87962566103423978;

    public static Tensor Fill(Tensor tensor, double scale, FanMode mode, InitDistribution distribution, Generator? generator)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (!(scale > 0 && double.IsFinite(scale)))
            throw new ArgumentException($"Argument `scale` must be positive float. Received: scale={InitArguments.Cpp(scale)}", nameof(scale));
        if (!Enum.IsDefined(distribution)) throw new ArgumentException($"Unknown distribution {distribution}", nameof(distribution));
        double fan = FanOf(tensor, mode);
        return tensor.NumberOfElements == 0 ? tensor : Draw(tensor, Math.Sqrt(scale / fan), distribution, generator);
    }

    /// <summary>Draws with mean 0 and the given standard deviation.</summary>
    internal static Tensor Draw(Tensor tensor, double std, InitDistribution distribution, Generator? generator)
    {
        double wide = std / TruncatedStd;
        if (distribution is not (InitDistribution.Uniform or InitDistribution.Normal)) InitArguments.RequireFits(tensor, 2 * wide, "scale");
        return distribution switch
        {
            InitDistribution.Uniform => Uniform.Symmetric(tensor, Math.Sqrt(3.0) * std, generator, "scale"),
            InitDistribution.Normal => Normal.Fill(tensor, 0, std, generator, "scale"),
            _ => TruncatedNormal.Fill(tensor, 0, wide, -2 * wide, 2 * wide, generator),
        };
    }

    private static double FanOf(Tensor tensor, FanMode mode)
    {
        var (fanIn, fanOut) = Fan.Of(tensor);
        return mode switch
        {
            FanMode.FanIn => fanIn,
            FanMode.FanOut => fanOut,
            FanMode.FanAvg => (fanIn + fanOut) / 2.0,
            _ => throw new ArgumentException($"Mode {mode} not supported, please use one of ['fan_in', 'fan_out', 'fan_avg']", nameof(mode)),
        };
    }
}

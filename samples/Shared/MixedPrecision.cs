using System.CommandLine;
using static TorchSharp.torch;

namespace TorchStab.Samples;

/// <summary>What <c>--precision</c> offers.</summary>
public enum Precision
{
    Float32,
    BFloat16,
    Float16,
}

/// <summary>
/// What a training step in some precision needs: a region for the forward pass and the loss, and a scaler that does nothing unless it is float16.
/// </summary>
public sealed class MixedPrecision(Precision precision, Device device)
{
    /// <summary>float16 gradients below 6e-8 are zero; those of the other two have float32's range.</summary>
    public GradScaler Scaler { get; } = stab.amp.GradScaler(enabled: precision == Precision.Float16);

    public static Option<Choice<Precision>> Option() =>
        SampleOptions.OneOf("--precision", Precision.Float32,
            "Of matrix products in training, by autocast; weights are float32. float16 comes with a loss scaler");

    /// <summary>The region; null in float32, which needs none.</summary>
    public IDisposable? Autocast() => precision == Precision.Float32 ? null
        : stab.amp.autocast(device.type, precision == Precision.Float16 ? ScalarType.Float16 : ScalarType.BFloat16);
}

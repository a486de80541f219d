using TorchStab.Optimization;

namespace TorchStab.Modules;

/// <summary>Options of a group of <see cref="SGD"/> or <see cref="RMSprop"/>; a null takes the optimizer's value.</summary>
public abstract class MomentumOptions : ClipOptions
{
    /// <summary>Each of the two classes lists it at its position in its file format.</summary>
    private protected static readonly Option MomentumOption = Option.Number<MomentumOptions>(nameof(momentum), "Invalid momentum value: ", Bounds.Positive);

    private protected MomentumOptions() { }

    /// <summary>The factor of the previous running sum: of gradients in SGD, of updates in RMSprop.</summary>
    public double? momentum { get; set; }
}

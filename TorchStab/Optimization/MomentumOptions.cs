using TorchStab.Optimization;

namespace TorchStab.Modules;

/// <summary>Options of a group of <see cref="SGD"/> or <see cref="RMSprop"/>; what is null takes the optimizer's value.</summary>
public abstract class MomentumOptions : ClipOptions
{
    /// <summary>Listed by each of the two where its file format has it.</summary>
    private protected static readonly Option MomentumOption = Option.Number<MomentumOptions>(nameof(momentum), "Invalid momentum value: ", Bounds.Positive);

    private protected MomentumOptions() { }

    /// <summary>How much of the running sum stays: of gradients in SGD, of updates in RMSprop.</summary>
    public double? momentum { get; set; }
}

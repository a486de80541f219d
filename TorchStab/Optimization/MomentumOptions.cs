namespace TorchStab.Modules;

/// <summary>Options of a group of <see cref="SGD"/> or <see cref="RMSprop"/>; what is null takes the optimizer's value.</summary>
public abstract class MomentumOptions : ClipOptions
{
    private protected MomentumOptions() { }

    /// <summary>How much of the running sum stays: of gradients in SGD, of updates in RMSprop.</summary>
    public double? momentum { get; set; }

    internal override void FillFrom(ClipOptions defaults)
    {
        base.FillFrom(defaults);
        momentum ??= ((MomentumOptions)defaults).momentum;
    }

    internal override void Validate()
    {
        base.Validate();
        Require(momentum, "Invalid momentum value: ", nameof(momentum));
    }
}

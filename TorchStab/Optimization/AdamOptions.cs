using TorchStab.Optimization;
using Hosts = TorchSharp.Modules;

namespace TorchStab.Modules;

/// <summary>Options of a group of <see cref="Adam"/> or <see cref="AdamW"/>; a null takes the optimizer's value.</summary>
public abstract class AdamOptions : ClipOptions
{
    private static readonly OptionTable Declared = new("Adam or AdamW", [typeof(Hosts.Adam.Options), typeof(Hosts.AdamW.Options)],
    [
        Option.Number<AdamOptions>(nameof(beta1), "Invalid beta parameter at index 0: ", Bounds.Decay),
        Option.Number<AdamOptions>(nameof(beta2), "Invalid beta parameter at index 1: ", Bounds.Decay),
        Option.Number<AdamOptions>(nameof(eps), "Invalid epsilon value: ", Bounds.Positive),
        DecayOption,
        Option.Flag<AdamOptions>(nameof(amsgrad)),
        MaximizeOption,
    ]);

    private protected AdamOptions() { }

    /// <summary>Decay of the running mean of gradients.</summary>
    public double? beta1 { get; set; }

    /// <summary>Decay of the running mean of squared gradients.</summary>
    public double? beta2 { get; set; }

    /// <summary>
    /// Added to the root of the second moment. A smaller value than 1e-22 (1e-161 in float64) acts as that value, so that a zero gradient does not give 0/0 =
    /// NaN, as PyTorch's eps = 0 does.
    /// </summary>
    public double? eps { get; set; }

    /// <summary>Whether the denominator uses the largest second moment so far (Reddi et al. 2018).</summary>
    public bool? amsgrad { get; set; }

    internal override OptionTable Table => Declared;

    /// <summary>Both decays, for schedulers that change them.</summary>
    internal (double, double) Betas
    {
        get => (beta1!.Value, beta2!.Value);
        set => (beta1, beta2) = value;
    }

    internal static T New<T>(double? lr, double? beta1, double? beta2, double? eps, double? weight_decay, bool? amsgrad, bool? maximize,
        double? clipnorm, double? clipvalue, double? global_clipnorm, bool? master_weights) where T : AdamOptions, new() =>
        With(new T { beta1 = beta1, beta2 = beta2, eps = eps, amsgrad = amsgrad }, lr, weight_decay, maximize, clipnorm, clipvalue,
            global_clipnorm, master_weights);
}

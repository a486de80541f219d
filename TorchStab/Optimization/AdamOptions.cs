using TorchSharp.Modules;
using Hosts = TorchSharp.Modules;

namespace TorchStab.Modules;

/// <summary>Options of a group of <see cref="Adam"/> or <see cref="AdamW"/>; what is null takes the optimizer's value.</summary>
public abstract class AdamOptions : ClipOptions
{
    private protected AdamOptions() { }

    /// <summary>Decay of the running mean of gradients.</summary>
    public double? beta1 { get; set; }

    /// <summary>Decay of the running mean of squared gradients.</summary>
    public double? beta2 { get; set; }

    /// <summary>
    /// Added to the denominator; at least 1e-22 (1e-161 in float64) counts, so that a zero gradient does not give 0/0 = NaN, as it does in PyTorch, where this is 0.
    /// </summary>
    public double? eps { get; set; }

    /// <summary>Whether the denominator uses the largest second moment so far (Reddi et al. 2018).</summary>
    public bool? amsgrad { get; set; }

    /// <summary>Writes what <c>torch.optim</c>'s options of the same name write; the thresholds are no part of it.</summary>
    /// <param name="writer">Where to write.</param>
    public override void SaveStateDict(BinaryWriter writer)
    {
        base.SaveStateDict(writer);
        foreach (double? value in new[] { beta1, beta2, eps, weight_decay }) writer.Write(value!.Value);
        writer.Write(amsgrad!.Value);
        writer.Write(maximize!.Value);
    }

    /// <summary>Reads what <see cref="SaveStateDict"/> wrote.</summary>
    /// <param name="reader">Where to read.</param>
    public override void LoadStateDict(BinaryReader reader)
    {
        base.LoadStateDict(reader);
        (beta1, beta2, eps, weight_decay) = (reader.ReadDouble(), reader.ReadDouble(), reader.ReadDouble(), reader.ReadDouble());
        (amsgrad, maximize) = (reader.ReadBoolean(), reader.ReadBoolean());
    }

    /// <summary>Copies the options of another Adam or AdamW, TorchStab's or TorchSharp's.</summary>
    /// <param name="source">Those to copy.</param>
    /// <exception cref="InvalidOperationException">Of another kind of optimizer.</exception>
    public override void LoadStateDict(OptimizerOptions source)
    {
        (beta1, beta2, eps, weight_decay, amsgrad, maximize) = source switch
        {
            AdamOptions o => (o.beta1, o.beta2, o.eps, o.weight_decay, o.amsgrad, o.maximize),
            Hosts.Adam.Options o => (o.beta1, o.beta2, o.eps, o.weight_decay, o.amsgrad, o.maximize),
            Hosts.AdamW.Options o => (o.beta1, o.beta2, o.eps, o.weight_decay, o.amsgrad, o.maximize),
            _ => throw new InvalidOperationException($"expected the options of Adam or AdamW, got {source.GetType().FullName}"),
        };
        base.LoadStateDict(source);
    }

    /// <summary>Both decays, as schedulers drive them.</summary>
    internal (double, double) Betas
    {
        get => (beta1!.Value, beta2!.Value);
        set => (beta1, beta2) = value;
    }

    internal static T New<T>(double? lr, double? beta1, double? beta2, double? eps, double? weight_decay, bool? amsgrad, bool? maximize,
        double? clipnorm, double? clipvalue, double? global_clipnorm) where T : AdamOptions, new() =>
        With(new T { beta1 = beta1, beta2 = beta2, eps = eps, amsgrad = amsgrad }, lr, weight_decay, maximize, clipnorm, clipvalue, global_clipnorm);

    internal override void FillFrom(ClipOptions defaults)
    {
        base.FillFrom(defaults);
        var d = (AdamOptions)defaults;
        beta1 ??= d.beta1;
        beta2 ??= d.beta2;
        eps ??= d.eps;
        amsgrad ??= d.amsgrad;
    }

    internal override void Validate()
    {
        base.Validate();
        Require(amsgrad, nameof(amsgrad));
        Require(eps, "Invalid epsilon value: ", nameof(eps));
        RequireDecay(beta1, "Invalid beta parameter at index 0: ", nameof(beta1));
        RequireDecay(beta2, "Invalid beta parameter at index 1: ", nameof(beta2));
    }
}

using TorchSharp.Modules;
using Hosts = TorchSharp.Modules;

namespace TorchStab.Modules;

public sealed partial class RMSprop
{
    /// <summary>Options of a group of <see cref="RMSprop"/>; what is null takes the optimizer's value.</summary>
    public sealed class Options : MomentumOptions
    {
        /// <summary>Decay of the running mean of squared gradients.</summary>
        public double? alpha { get; set; }

        /// <summary>
        /// Added to the denominator; at least 1e-22 (1e-161 in float64) counts, so that a zero gradient does not give 0/0 = NaN, as it does in PyTorch, where this is 0.
        /// </summary>
        public double? eps { get; set; }

        /// <summary>Whether to divide by an estimate of the variance instead of the second moment.</summary>
        public bool? centered { get; set; }

        /// <inheritdoc cref="AdamOptions.SaveStateDict(BinaryWriter)"/>
        public override void SaveStateDict(BinaryWriter writer)
        {
            base.SaveStateDict(writer);
            writer.Write(maximize!.Value);
            foreach (double? value in new[] { momentum, alpha, eps, weight_decay }) writer.Write(value!.Value);
            writer.Write(centered!.Value);
        }

        /// <inheritdoc cref="AdamOptions.LoadStateDict(BinaryReader)"/>
        public override void LoadStateDict(BinaryReader reader)
        {
            base.LoadStateDict(reader);
            maximize = reader.ReadBoolean();
            (momentum, alpha, eps, weight_decay) = (reader.ReadDouble(), reader.ReadDouble(), reader.ReadDouble(), reader.ReadDouble());
            centered = reader.ReadBoolean();
        }

        /// <summary>Copies the options of another RMSprop, TorchStab's or TorchSharp's.</summary>
        /// <inheritdoc cref="AdamOptions.LoadStateDict(TorchSharp.Modules.OptimizerOptions)"/>
        public override void LoadStateDict(OptimizerOptions source)
        {
            (alpha, eps, weight_decay, momentum, centered, maximize) = source switch
            {
                Options o => (o.alpha, o.eps, o.weight_decay, o.momentum, o.centered, o.maximize),
                Hosts.RMSProp.Options o => (o.alpha, o.eps, o.weight_decay, o.momentum, o.centered, o.maximize),
                _ => throw new InvalidOperationException($"expected the options of RMSprop, got {source.GetType().FullName}"),
            };
            base.LoadStateDict(source);
        }

        internal static Options New(double? lr, double? alpha, double? eps, double? weight_decay, double? momentum, bool? centered, bool? maximize,
            double? clipnorm, double? clipvalue, double? global_clipnorm) =>
            With(new Options { alpha = alpha, eps = eps, momentum = momentum, centered = centered }, lr, weight_decay, maximize, clipnorm, clipvalue, global_clipnorm);

        internal override void FillFrom(ClipOptions defaults)
        {
            base.FillFrom(defaults);
            var d = (Options)defaults;
            alpha ??= d.alpha;
            eps ??= d.eps;
            centered ??= d.centered;
        }

        internal override void Validate()
        {
            base.Validate();
            Require(centered, nameof(centered));
            Require(eps, "Invalid epsilon value: ", nameof(eps));
            Require(alpha, "Invalid alpha value: ", nameof(alpha), largest: 1); // beyond 1 a mean of squares turns negative, and its root NaN
        }
    }
}

using TorchStab.Optimization;
using Hosts = TorchSharp.Modules;

namespace TorchStab.Modules;

public sealed partial class RMSprop
{
    /// <summary>Options of a group of <see cref="RMSprop"/>; a null takes the optimizer's value.</summary>
    public sealed class Options : MomentumOptions
    {
        private static readonly OptionTable Declared = new("RMSprop", [typeof(Hosts.RMSProp.Options)],
        [
            MaximizeOption,
            MomentumOption,
            Option.Number<Options>(nameof(alpha), "Invalid alpha value: ", new(0, 1)), // above 1 a mean of squares becomes negative, and its square root NaN
            Option.Number<Options>(nameof(eps), "Invalid epsilon value: ", Bounds.Positive),
            DecayOption,
            Option.Flag<Options>(nameof(centered)),
        ]);

        /// <summary>Decay of the running mean of squared gradients (beta2 in Adam).</summary>
        public double? alpha { get; set; }

        /// <summary>
        /// Added to the root of the mean square. A smaller value than 1e-22 (1e-161 in float64) acts as that value, so that a zero gradient does not
        /// give 0/0 = NaN, as PyTorch's eps = 0 does.
        /// </summary>
        public double? eps { get; set; }

        /// <summary>Whether to divide by an estimate of the variance instead of the second moment.</summary>
        public bool? centered { get; set; }

        internal override OptionTable Table => Declared;

        internal static Options New(double? lr, double? alpha, double? eps, double? weight_decay, double? momentum, bool? centered, bool? maximize,
            double? clipnorm, double? clipvalue, double? global_clipnorm, bool? master_weights) =>
            With(new Options { alpha = alpha, eps = eps, momentum = momentum, centered = centered }, lr, weight_decay, maximize, clipnorm, clipvalue,
                global_clipnorm, master_weights);
    }
}

using TorchStab.Clipping;
using TorchStab.Optimization;
using Hosts = TorchSharp.Modules;

namespace TorchStab.Modules;

public sealed partial class SGD
{
    /// <summary>Options of a group of <see cref="SGD"/>; a null takes the optimizer's value.</summary>
    public sealed class Options : MomentumOptions
    {
        private static readonly OptionTable Declared = new("SGD", [typeof(Hosts.SGD.Options)],
        [
            MomentumOption,
            // PyTorch accepts a negative dampening
            Option.Number<Options>(nameof(dampening), "Invalid dampening value: ", new(-Numbers.Largest, Numbers.Largest)),
            DecayOption,
            Option.Flag<Options>(nameof(nesterov)),
            MaximizeOption,
        ]);

        /// <summary>A new gradient enters the running sum with the factor 1 − dampening.</summary>
        public double? dampening { get; set; }

        /// <summary>Whether to look ahead by one momentum step (Nesterov).</summary>
        public bool? nesterov { get; set; }

        internal override OptionTable Table => Declared;

        internal static Options New(double? lr, double? momentum, double? dampening, double? weight_decay, bool? nesterov, bool? maximize,
            double? clipnorm, double? clipvalue, double? global_clipnorm, bool? master_weights) =>
            With(new Options { momentum = momentum, dampening = dampening, nesterov = nesterov }, lr, weight_decay, maximize, clipnorm, clipvalue,
                global_clipnorm, master_weights);

        internal override void Validate()
        {
            base.Validate();
            if (nesterov == true && !(momentum > 0 && dampening == 0))
                throw new ArgumentException("Nesterov momentum requires a momentum and zero dampening", nameof(nesterov));
        }
    }
}

using TorchSharp.Modules;
using Hosts = TorchSharp.Modules;

namespace TorchStab.Modules;

public sealed partial class SGD
{
    /// <summary>Options of a group of <see cref="SGD"/>; what is null takes the optimizer's value.</summary>
    public sealed class Options : MomentumOptions
    {
        /// <summary>How much of a new gradient does not enter the running sum.</summary>
        public double? dampening { get; set; }

        /// <summary>Whether to look ahead by one momentum step (Nesterov).</summary>
        public bool? nesterov { get; set; }

        /// <inheritdoc cref="AdamOptions.SaveStateDict(BinaryWriter)"/>
        public override void SaveStateDict(BinaryWriter writer)
        {
            base.SaveStateDict(writer);
            foreach (double? value in new[] { momentum, dampening, weight_decay }) writer.Write(value!.Value);
            writer.Write(nesterov!.Value);
            writer.Write(maximize!.Value);
        }

        /// <inheritdoc cref="AdamOptions.LoadStateDict(BinaryReader)"/>
        public override void LoadStateDict(BinaryReader reader)
        {
            base.LoadStateDict(reader);
            (momentum, dampening, weight_decay) = (reader.ReadDouble(), reader.ReadDouble(), reader.ReadDouble());
            (nesterov, maximize) = (reader.ReadBoolean(), reader.ReadBoolean());
        }

        /// <summary>Copies the options of another SGD, TorchStab's or TorchSharp's.</summary>
        /// <inheritdoc cref="AdamOptions.LoadStateDict(TorchSharp.Modules.OptimizerOptions)"/>
        public override void LoadStateDict(OptimizerOptions source)
        {
            (momentum, dampening, weight_decay, nesterov, maximize) = source switch
            {
                Options o => (o.momentum, o.dampening, o.weight_decay, o.nesterov, o.maximize),
                Hosts.SGD.Options o => (o.momentum, o.dampening, o.weight_decay, o.nesterov, o.maximize),
                _ => throw new InvalidOperationException($"expected the options of SGD, got {source.GetType().FullName}"),
            };
            base.LoadStateDict(source);
        }

        internal static Options New(double? lr, double? momentum, double? dampening, double? weight_decay, bool? nesterov, bool? maximize,
            double? clipnorm, double? clipvalue, double? global_clipnorm) =>
            With(new Options { momentum = momentum, dampening = dampening, nesterov = nesterov }, lr, weight_decay, maximize, clipnorm, clipvalue, global_clipnorm);

        internal override void FillFrom(ClipOptions defaults)
        {
            base.FillFrom(defaults);
            dampening ??= ((Options)defaults).dampening;
            nesterov ??= ((Options)defaults).nesterov;
        }

        internal override void Validate()
        {
            base.Validate();
            Require(dampening is { } d ? Math.Abs(d) : null, "Invalid dampening value: ", nameof(dampening)); // PyTorch takes a negative one
            Require(nesterov, nameof(nesterov));
            if (nesterov == true && !(momentum > 0 && dampening == 0)) throw new ArgumentException("Nesterov momentum requires a momentum and zero dampening", nameof(nesterov));
        }
    }
}

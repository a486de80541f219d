using TorchSharp.Modules;
using TorchStab.Clipping;
using Hosts = TorchSharp.Modules;

namespace TorchStab.Modules;

public sealed partial class SGD
{
    /// <summary>Options of a group of <see cref="SGD"/>; what is null takes the optimizer's value.</summary>
    public sealed class Options : ClipOptions
    {
        /// <summary>How much of the running sum of gradients stays.</summary>
        public double? momentum { get; set; }

        /// <summary>How much of a new gradient does not enter the running sum.</summary>
        public double? dampening { get; set; }

        /// <summary>L2 penalty.</summary>
        public double? weight_decay { get; set; }

        /// <summary>Whether to look ahead by one momentum step (Nesterov).</summary>
        public bool? nesterov { get; set; }

        /// <summary>Whether to climb instead of to descend.</summary>
        public bool? maximize { get; set; }

        /// <inheritdoc/>
        public override void SaveStateDict(BinaryWriter writer)
        {
            base.SaveStateDict(writer);
            foreach (double? value in new[] { momentum, dampening, weight_decay }) writer.Write(value!.Value);
            writer.Write(nesterov!.Value);
            writer.Write(maximize!.Value);
        }

        /// <inheritdoc/>
        public override void LoadStateDict(BinaryReader reader)
        {
            base.LoadStateDict(reader);
            (momentum, dampening, weight_decay) = (reader.ReadDouble(), reader.ReadDouble(), reader.ReadDouble());
            (nesterov, maximize) = (reader.ReadBoolean(), reader.ReadBoolean());
        }

        /// <summary>Copies the options of another SGD, TorchStab's or TorchSharp's.</summary>
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
            double? clipnorm, double? clipvalue, double? global_clipnorm) => new()
            {
                LearningRate = lr,
                momentum = momentum,
                dampening = dampening,
                weight_decay = weight_decay,
                nesterov = nesterov,
                maximize = maximize,
                clipnorm = clipnorm,
                clipvalue = clipvalue,
                global_clipnorm = global_clipnorm,
            };

        internal override void FillFrom(ClipOptions defaults)
        {
            var d = (Options)defaults;
            momentum ??= d.momentum;
            dampening ??= d.dampening;
            weight_decay ??= d.weight_decay;
            nesterov ??= d.nesterov;
            maximize ??= d.maximize;
        }

        internal override void Validate()
        {
            base.Validate();
            Require(momentum >= 0, $"Invalid momentum value: {Numbers.Text(momentum)}", nameof(momentum));
            Require(weight_decay >= 0, $"Invalid weight_decay value: {Numbers.Text(weight_decay)}", nameof(weight_decay));
            Require(nesterov != true || (momentum > 0 && dampening == 0), "Nesterov momentum requires a momentum and zero dampening", nameof(nesterov));
        }
    }
}

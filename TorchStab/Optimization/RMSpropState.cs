using TorchSharp.Modules;
using TorchStab.Optimization;
using static TorchSharp.torch;
using Hosts = TorchSharp.Modules;

namespace TorchStab.Modules;

public sealed partial class RMSprop
{
    /// <summary>The state of <see cref="RMSprop"/> for one parameter, with PyTorch's names.</summary>
    public sealed class State : MomentState
    {
        private static readonly MomentTable Declared = new("RMSprop", [typeof(Hosts.RMSProp.State)],
        [
            new(nameof(square_avg), s => ref ((State)s).square_avg!, Squares: true),
            new(nameof(momentum_buffer), s => ref ((State)s).momentum_buffer, o => ((Options)o).momentum > 0),
            new(nameof(grad_avg), s => ref ((State)s).grad_avg, o => ((Options)o).centered == true),
        ], s => ref ((State)s).step);

        /// <summary>The number of updates of this parameter so far.</summary>
        public long step;

        /// <summary>The running mean of squared gradients.</summary>
        public Tensor square_avg = null!;

        /// <summary>The running sum of updates; null without momentum.</summary>
        public Tensor? momentum_buffer;

        /// <summary>The running mean of gradients; null unless centered.</summary>
        public Tensor? grad_avg;

        internal State(Parameter parameter) : base(parameter) { }

        internal override MomentTable Table => Declared;
    }
}

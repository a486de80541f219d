using TorchSharp.Modules;
using TorchStab.Optimization;
using static TorchSharp.torch;
using Hosts = TorchSharp.Modules;

namespace TorchStab.Modules;

public sealed partial class SGD
{
    /// <summary>The state of <see cref="SGD"/> for one parameter, with PyTorch's name.</summary>
    public sealed class State : MomentState
    {
        private static readonly MomentTable Declared = new("SGD", [typeof(Hosts.SGD.State)],
            [new(nameof(momentum_buffer), s => ref ((State)s).momentum_buffer, o => ((Options)o).momentum > 0, Late: true)]);

        /// <summary>The running sum of gradients; null without momentum and before the first update.</summary>
        public Tensor? momentum_buffer;

        internal State(Parameter parameter) : base(parameter) { }

        internal override MomentTable Table => Declared;
    }
}

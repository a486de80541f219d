using TorchSharp.Modules;
using TorchStab.Dispatch;
using static TorchSharp.torch;
using Hosts = TorchSharp.Modules;

namespace TorchStab.Modules;

public sealed partial class SGD
{
    /// <summary>What <see cref="SGD"/> remembers of a parameter, by PyTorch's name.</summary>
    public sealed class State : MomentState
    {
        /// <summary>The running sum of gradients; null without momentum and before the first update.</summary>
        public Tensor? momentum_buffer;

        internal MomentView View;

        internal State(Parameter parameter) : base(parameter) { }

        /// <summary>Forgets the buffer.</summary>
        /// <inheritdoc cref="AdamState.Initialize(TorchSharp.Modules.OptimizerOptions)"/>
        public override void Initialize(OptimizerOptions options)
        {
            momentum_buffer?.Dispose();
            momentum_buffer = null;
        }

        /// <summary>Writes what <c>torch.optim.SGD</c> writes.</summary>
        /// <inheritdoc cref="AdamState.SaveStateDict(BinaryWriter)"/>
        public override void SaveStateDict(BinaryWriter writer) => SaveOptional(writer, momentum_buffer);

        /// <summary>Reads what <c>torch.optim.SGD</c> writes.</summary>
        /// <inheritdoc cref="AdamState.LoadStateDict(BinaryReader)"/>
        public override void LoadStateDict(BinaryReader reader) => Load(reader, ref momentum_buffer);

        /// <summary>Copies the state of another SGD, TorchStab's or TorchSharp's.</summary>
        /// <inheritdoc cref="AdamState.LoadStateDict(TorchSharp.Modules.OptimizerState)"/>
        public override void LoadStateDict(OptimizerState source)
        {
            Check(source);
            var copy = Copy(BufferOf(source));
            momentum_buffer?.Dispose();
            momentum_buffer = copy;
        }

        /// <inheritdoc cref="AdamState.ApproximatelyEquals"/>
        public override bool ApproximatelyEquals(OptimizerState other) => other is State s && Same(momentum_buffer, s.momentum_buffer);

        internal override void Check(OptimizerState source) => Require(0, 0, BufferOf(source));

        internal override void Prefetch() => View.Prefetch();

        internal override string? WhyNot(ClipOptions options, in TensorView parameter) =>
            ((Options)options).momentum > 0 && momentum_buffer is not null ? WhyNot(nameof(momentum_buffer), momentum_buffer, ref View, parameter) : null;

        /// <summary>The buffer; zeros before the first update.</summary>
        internal Tensor Buffer() => momentum_buffer ??= Zeros();

        private protected override void Map(Func<Tensor, Tensor> change) => momentum_buffer = momentum_buffer is null ? null : change(momentum_buffer);

        private static Tensor? BufferOf(OptimizerState source) => source switch
        {
            State s => s.momentum_buffer,
            Hosts.SGD.State s => s.momentum_buffer,
            _ => throw Foreign(source, "SGD"),
        };
    }
}

using TorchSharp.Modules;
using TorchStab.Dispatch;
using static TorchSharp.torch;
using Hosts = TorchSharp.Modules;

namespace TorchStab.Modules;

public sealed partial class RMSprop
{
    /// <summary>What <see cref="RMSprop"/> remembers of a parameter, by PyTorch's names.</summary>
    public sealed class State : MomentState
    {
        /// <summary>Updates so far.</summary>
        public long step;

        /// <summary>The running mean of squared gradients.</summary>
        public Tensor square_avg = null!;

        /// <summary>The running sum of updates; null without momentum.</summary>
        public Tensor? momentum_buffer;

        /// <summary>The running mean of gradients; null unless centered.</summary>
        public Tensor? grad_avg;

        internal MomentView Square, MeanView, BufferView;

        internal State(Parameter parameter) : base(parameter) { }

        /// <summary>Zeros, each only where the options need it.</summary>
        /// <inheritdoc cref="AdamState.Initialize(TorchSharp.Modules.OptimizerOptions)"/>
        public override void Initialize(OptimizerOptions options)
        {
            if (square_avg is not null) Dispose();
            var o = (Options)options;
            step = 0;
            square_avg = Zeros();
            momentum_buffer = o.momentum > 0 ? Zeros() : null;
            grad_avg = o.centered == true ? Zeros() : null;
        }

        /// <summary>Writes what <c>torch.optim.RMSProp</c> writes.</summary>
        /// <inheritdoc cref="AdamState.SaveStateDict(BinaryWriter)"/>
        public override void SaveStateDict(BinaryWriter writer)
        {
            writer.Write(step);
            Save(writer, square_avg);
            SaveOptional(writer, momentum_buffer);
            SaveOptional(writer, grad_avg);
        }

        /// <summary>Reads what <c>torch.optim.RMSProp</c> writes.</summary>
        /// <inheritdoc cref="AdamState.LoadStateDict(BinaryReader)"/>
        public override void LoadStateDict(BinaryReader reader)
        {
            step = reader.ReadInt64();
            Load(reader, square_avg);
            Load(reader, ref momentum_buffer);
            Load(reader, ref grad_avg);
        }

        /// <summary>Copies the state of another RMSprop, TorchStab's or TorchSharp's.</summary>
        /// <inheritdoc cref="AdamState.LoadStateDict(TorchSharp.Modules.OptimizerState)"/>
        public override void LoadStateDict(OptimizerState source)
        {
            Check(source);
            var (steps, square, momentum, mean) = Parts(source);
            var (squareCopy, momentumCopy, meanCopy) = (Copy(square)!, Copy(momentum), Copy(mean));
            Dispose(); // after the copies: the source may be this state itself
            (step, square_avg, momentum_buffer, grad_avg) = (steps, squareCopy, momentumCopy, meanCopy);
        }

        /// <inheritdoc cref="AdamState.ApproximatelyEquals"/>
        public override bool ApproximatelyEquals(OptimizerState other) => other is State s && step == s.step
            && Same(square_avg, s.square_avg) && Same(momentum_buffer, s.momentum_buffer) && Same(grad_avg, s.grad_avg);

        internal override long Steps
        {
            get => step;
            set => step = value;
        }

        internal override void Check(OptimizerState source)
        {
            var (steps, square, momentum, mean) = Parts(source);
            Require(steps, 1, square, momentum, mean);
        }

        internal override void Prefetch() => Square.Prefetch();

        internal override string? WhyNot(ClipOptions options, in TensorView parameter)
        {
            var o = (Options)options;
            return WhyNot(step)
                ?? WhyNot(nameof(square_avg), square_avg, ref Square, parameter)
                ?? (o.centered == true && grad_avg is not null ? WhyNot(nameof(grad_avg), grad_avg, ref MeanView, parameter, Square) : null)
                ?? (o.momentum > 0 && momentum_buffer is not null ? WhyNot(nameof(momentum_buffer), momentum_buffer, ref BufferView, parameter, Square) : null);
        }

        /// <summary>The momentum buffer; zeros where momentum was turned on after construction.</summary>
        internal Tensor Buffer() => momentum_buffer ??= Zeros();

        /// <summary>The mean of gradients; zeros where centering was turned on after construction.</summary>
        internal Tensor Mean() => grad_avg ??= Zeros();

        private protected override void Map(Func<Tensor, Tensor> change)
        {
            square_avg = square_avg is null ? null! : change(square_avg);
            momentum_buffer = momentum_buffer is null ? null : change(momentum_buffer);
            grad_avg = grad_avg is null ? null : change(grad_avg);
        }

        private static (long Step, Tensor Square, Tensor? Momentum, Tensor? Mean) Parts(OptimizerState source) => source switch
        {
            State s => (s.step, s.square_avg, s.momentum_buffer, s.grad_avg),
            Hosts.RMSProp.State s => (s.step, s.square_avg, s.momentum_buffer, s.grad_avg),
            _ => throw Foreign(source, "RMSprop"),
        };
    }
}

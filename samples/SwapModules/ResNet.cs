using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace SwapModules;

/// <summary>A small residual network as one writes it with TorchSharp alone: norms in fields of blocks and in Sequentials.</summary>
internal sealed class ResNet : Module<Tensor, Tensor>
{
    private readonly Sequential stem, stages;
    private readonly Linear head;

    public ResNet(long width, long classes) : base(nameof(ResNet))
    {
        stem = Sequential(("conv", Conv2d(3, width, 3, padding: 1, bias: false)), ("bn", BatchNorm2d(width)), ("relu", ReLU(inplace: true)));
        stages = Sequential(new BasicBlock(width, width, 1), new BasicBlock(width, 2 * width, 2), new BasicBlock(2 * width, 4 * width, 2));
        head = Linear(4 * width, classes);
        RegisterComponents();
    }

    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        return head.call(stages.call(stem.call(x)).mean([2, 3])).MoveToOuterDisposeScope();
    }

    private sealed class BasicBlock : Module<Tensor, Tensor>
    {
        private readonly Module<Tensor, Tensor> conv1, bn1, conv2, bn2;
        private readonly Module<Tensor, Tensor>? downsample;

        public BasicBlock(long from, long to, long stride) : base(nameof(BasicBlock))
        {
            conv1 = Conv2d(from, to, 3, stride: stride, padding: 1, bias: false);
            bn1 = BatchNorm2d(to);
            conv2 = Conv2d(to, to, 3, padding: 1, bias: false);
            bn2 = BatchNorm2d(to);
            if (stride != 1) downsample = Sequential(Conv2d(from, to, 1, stride: stride, bias: false), BatchNorm2d(to));
            RegisterComponents();
        }

        public override Tensor forward(Tensor x)
        {
            using var scope = NewDisposeScope();
            var y = functional.relu(bn1.call(conv1.call(x)), inplace: true);
            y = bn2.call(conv2.call(y)).add_(downsample?.call(x) ?? x);
            return y.relu_().MoveToOuterDisposeScope();
        }
    }
}

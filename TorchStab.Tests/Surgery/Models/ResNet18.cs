using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace TorchStab.Tests.Surgery.Models;

/// <summary>He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, 2016; the 18-layer network, of any width.</summary>
internal sealed class ResNet18 : Module<Tensor, Tensor>
{
    private readonly Conv2d conv1;
    private readonly Module<Tensor, Tensor> bn1;
    private readonly Module<Tensor, Tensor> relu, maxpool, avgpool;
    private readonly Sequential layer1, layer2, layer3, layer4;
    private readonly Linear fc;

    public ResNet18(long width = 64, long classes = 10) : base(nameof(ResNet18))
    {
        conv1 = Conv2d(3, width, 7, stride: 2, padding: 3, bias: false);
        bn1 = BatchNorm2d(width);
        relu = ReLU(inplace: true);
        maxpool = MaxPool2d(3, stride: 2, padding: 1);
        layer1 = Stage(width, width, 1);
        layer2 = Stage(width, 2 * width, 2);
        layer3 = Stage(2 * width, 4 * width, 2);
        layer4 = Stage(4 * width, 8 * width, 2);
        avgpool = AdaptiveAvgPool2d(1);
        fc = Linear(8 * width, classes);
        RegisterComponents();
    }

    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        x = maxpool.call(relu.call(bn1.call(conv1.call(x))));
        x = layer4.call(layer3.call(layer2.call(layer1.call(x))));
        return fc.call(avgpool.call(x).flatten(1)).MoveToOuterDisposeScope();
    }

    private static Sequential Stage(long from, long to, long stride) => Sequential(new BasicBlock(from, to, stride), new BasicBlock(to, to, 1));

    private sealed class BasicBlock : Module<Tensor, Tensor>
    {
        private readonly Module<Tensor, Tensor> conv1, bn1, relu, conv2, bn2;
        private readonly Module<Tensor, Tensor>? downsample;

        public BasicBlock(long from, long to, long stride) : base(nameof(BasicBlock))
        {
            conv1 = Conv2d(from, to, 3, stride: stride, padding: 1, bias: false);
            bn1 = BatchNorm2d(to);
            relu = ReLU(inplace: true);
            conv2 = Conv2d(to, to, 3, padding: 1, bias: false);
            bn2 = BatchNorm2d(to);
            if (stride != 1 || from != to)
                downsample = Sequential(("0", Conv2d(from, to, 1, stride: stride, bias: false)), ("1", BatchNorm2d(to)));
            RegisterComponents();
        }

        public override Tensor forward(Tensor x)
        {
            using var scope = NewDisposeScope();
            var identity = downsample?.forward(x) ?? x;
            var y = relu.forward(bn1.forward(conv1.forward(x)));
            y = bn2.forward(conv2.forward(y));
            y += identity;
            return relu.forward(y).MoveToOuterDisposeScope();
        }
    }
}

using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace TorchStab.Benchmarks.Comparisons.Networks;

/// <summary>He et al.: Deep Residual Learning for Image Recognition, 2016: the form for 32×32 images, three stages of two blocks.</summary>
internal sealed class SmallResNet : Module<Tensor, Tensor>
{
    private const int Stages = 3, Blocks = 2;

    private readonly Module<Tensor, Tensor> _layers;

    public SmallResNet(NormFamily norms, long width, long classes) : base(nameof(SmallResNet))
    {
        var layers = Sequential(Conv2d(3, width, 3, padding: 1, bias: false), norms.BatchNormReLU(width));
        long channels = width;
        for (int stage = 0; stage < Stages; stage++)
            for (int block = 0; block < Blocks; block++)
            {
                layers.append(new Block(norms, channels, width << stage));
                channels = width << stage;
            }
        _layers = layers.append(AdaptiveAvgPool2d(1)).append(Flatten()).append(Linear(channels, classes));
        RegisterComponents();
    }

    public override Tensor forward(Tensor input) => _layers.call(input);

    private sealed class Block : Module<Tensor, Tensor>
    {
        private readonly Module<Tensor, Tensor> _main;
        private readonly Module<Tensor, Tensor>? _shortcut;

        public Block(NormFamily norms, long from, long to) : base(nameof(Block))
        {
            int stride = from == to ? 1 : 2;
            _main = Sequential(Conv2d(from, to, 3, stride: stride, padding: 1, bias: false), norms.BatchNormReLU(to),
                Conv2d(to, to, 3, padding: 1, bias: false), norms.BatchNorm(to));
            if (from != to) _shortcut = Sequential(Conv2d(from, to, 1, stride: stride, bias: false), norms.BatchNorm(to));
            RegisterComponents();
        }

        public override Tensor forward(Tensor input)
        {
            using var scope = NewDisposeScope();
            return _main.call(input).add_(_shortcut?.call(input) ?? input).relu_().MoveToOuterDisposeScope();
        }
    }
}

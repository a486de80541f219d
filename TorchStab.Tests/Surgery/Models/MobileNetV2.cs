using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace TorchStab.Tests.Surgery.Models;

/// <summary>Sandler et al.: MobileNetV2: Inverted Residuals and Linear Bottlenecks, 2018, table 2, for small images and any width.</summary>
internal sealed class MobileNetV2 : Module<Tensor, Tensor>
{
    private static readonly (long t, long c, int n, long s)[] Table =
        [(1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

    private readonly Sequential features = Sequential();
    private readonly Sequential classifier;

    public MobileNetV2(double width = 1, long classes = 10, double dropout = 0.2) : base(nameof(MobileNetV2))
    {
        long Channels(long c) => Math.Max(4, (long)(c * width / 4 + 0.5) * 4);
        long input = Channels(32);
        features.append("stem", ConvBNReLU(3, input, 3, 1, 1));
        foreach (var (t, c, n, s) in Table)
            for (int i = 0; i < n; i++)
            {
                features.append($"{c}_{i}", new InvertedResidual(input, Channels(c), i == 0 ? s : 1, t));
                input = Channels(c);
            }
        features.append("head", ConvBNReLU(input, Channels(1280), 1, 1, 1));
        classifier = Sequential(Dropout(dropout), Linear(Channels(1280), classes));
        RegisterComponents();
    }

    public override Tensor forward(Tensor x)
    {
        using var maps = features.call(x);
        using var pooled = maps.mean([2, 3]);
        return classifier.call(pooled);
    }

    private static Sequential ConvBNReLU(long from, long to, long kernel, long stride, long groups) => Sequential(
        Conv2d(from, to, kernel, stride: stride, padding: (kernel - 1) / 2, groups: groups, bias: false), BatchNorm2d(to), ReLU6(inplace: true));

    private sealed class InvertedResidual : Module<Tensor, Tensor>
    {
        private readonly bool residual;
        private readonly Sequential conv;

        public InvertedResidual(long from, long to, long stride, long expand) : base(nameof(InvertedResidual))
        {
            long hidden = from * expand;
            residual = stride == 1 && from == to;
            List<Module<Tensor, Tensor>> layers = [];
            if (expand != 1) layers.Add(ConvBNReLU(from, hidden, 1, 1, 1));
            layers.AddRange([ConvBNReLU(hidden, hidden, 3, stride, hidden), Conv2d(hidden, to, 1, bias: false), BatchNorm2d(to)]);
            conv = Sequential([.. layers]);
            RegisterComponents();
        }

        public override Tensor forward(Tensor x)
        {
            if (!residual) return conv.call(x);
            using var y = conv.call(x);
            return x + y;
        }
    }
}

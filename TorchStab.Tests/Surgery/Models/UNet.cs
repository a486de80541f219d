using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace TorchStab.Tests.Surgery.Models;

/// <summary>
/// Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image Segmentation, 2015, with padded convolutions and batch
/// normalization, as it is built today.
/// </summary>
internal sealed class UNet : Module<Tensor, Tensor>
{
    private readonly ModuleDict<Sequential> down = new();
    private readonly ModuleList<Module<Tensor, Tensor>> up = new(), merge = new();
    private readonly Module<Tensor, Tensor> pool = MaxPool2d(2);
    private readonly Conv2d head;

    public UNet(long channels, long classes, long width, int depth = 3) : base(nameof(UNet))
    {
        for (int i = 0; i <= depth; i++)
        {
            long w = width << i;
            down.Add(i == depth ? "bottom" : $"level{i}", DoubleConv(i == 0 ? channels : w / 2, w));
        }
        for (int i = depth - 1; i >= 0; i--)
        {
            long w = width << i;
            up.Add(Sequential(ConvTranspose2d(2 * w, w, 2, stride: 2), BatchNorm2d(w)));
            merge.Add(DoubleConv(2 * w, w));
        }
        head = Conv2d(width, classes, 1);
        RegisterComponents();
    }

    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        var skips = new Stack<Tensor>();
        foreach (var (name, block) in down)
        {
            x = block.call(x);
            if (name == "bottom") break;
            skips.Push(x);
            x = pool.call(x);
        }
        for (int i = 0; i < up.Count; i++) x = merge[i].call(cat([skips.Pop(), up[i].call(x)], 1));
        return head.call(x).MoveToOuterDisposeScope();
    }

    private static Sequential DoubleConv(long from, long to) => Sequential(
        ("conv1", Conv2d(from, to, 3, padding: 1, bias: false)), ("bn1", BatchNorm2d(to)), ("relu1", ReLU(inplace: true)),
        ("conv2", Conv2d(to, to, 3, padding: 1, bias: false)), ("bn2", BatchNorm2d(to)), ("relu2", ReLU(inplace: true)));
}

using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>Makes a convolution of the same kind and settings with other parameters.</summary>
internal static class ConvolutionCopy
{
    /// <summary>The copy owns <paramref name="weight"/> and <paramref name="bias"/>, and is in eval mode.</summary>
    public static Convolution Of(Convolution conv, Parameter weight, Parameter bias)
    {
        var copy = OfKind(conv);
        copy.weight = weight;
        copy.bias = bias;
        copy.stride = [.. conv.stride];
        copy.dilation = [.. conv.dilation];
        copy.output_padding = [.. conv.output_padding];
        copy.padding_mode = conv.padding_mode;
        if (conv.padding_type is { } type) copy.SetPadding(type);
        else copy.SetPadding([.. conv.padding!]);
        copy.eval();
        return copy;
    }

    // On the meta device: the constructor's random weights are not needed, and drawing them would advance the user's random stream.
    private static Convolution OfKind(Convolution conv)
    {
        long n = conv.in_channels, m = conv.out_channels, g = conv.groups;
        var k = conv.kernel_size;
        return conv switch
        {
            Conv1d => nn.Conv1d(n, m, k[0], groups: g, bias: false, device: META),
            Conv2d => nn.Conv2d(n, m, (k[0], k[1]), groups: g, bias: false, device: META),
            Conv3d => nn.Conv3d(n, m, (k[0], k[1], k[2]), groups: g, bias: false, device: META),
            ConvTranspose1d => nn.ConvTranspose1d(n, m, k[0], groups: g, bias: false, device: META),
            ConvTranspose2d => nn.ConvTranspose2d(n, m, (k[0], k[1]), groups: g, bias: false, device: META),
            ConvTranspose3d => nn.ConvTranspose3d(n, m, (k[0], k[1], k[2]), groups: g, bias: false, device: META),
            _ => throw new ArgumentException($"{conv.GetType()} is not one of torch.nn's six convolutions", nameof(conv)),
        };
    }
}

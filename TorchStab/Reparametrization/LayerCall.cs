using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Modules;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace TorchStab.Reparametrization;

/// <summary>Runs a layer of torch.nn with a given weight and bias instead of its own. Its settings are read in each call.</summary>
internal static class LayerCall
{
    public static bool Knows(nn.Module module) =>
        module is Linear or Embedding or Conv1d or Conv2d or Conv3d or ConvTranspose1d or ConvTranspose2d or ConvTranspose3d;

    public static Tensor Run(nn.Module<Tensor, Tensor> layer, Tensor input, Parametrization parametrization, Parameter? bias) => layer switch
    {
        Embedding e => Embed(e, input, parametrization),
        Convolution { transposed: true } c => Transposed(c, input, parametrization.Compute(), bias),
        Convolution c => Convolve(c, input, parametrization.Compute(), bias),
        _ => F.linear(input, parametrization.Compute(), bias),
    };

    // TorchSharp does not expose an embedding's settings (padding row, largest norm, …). So the layer itself runs, and gets the weight for one call.
    private static Tensor Embed(Embedding layer, Tensor input, Parametrization parametrization)
    {
        lock (layer)
        {
            var weight = parametrization.Compute();
            using var computed = new Parameter(weight, weight.requires_grad);
            layer.weight = computed;
            try
            {
                return layer.forward(input);
            }
            finally
            {
                layer.weight = parametrization.Matrix;
            }
        }
    }

    private static Tensor Convolve(Convolution c, Tensor input, Tensor weight, Parameter? bias)
    {
        bool pads = c.padding_mode != PaddingModes.Zeros;
        if (pads) input = F.pad(input, Padding(c), c.padding_mode);
        else if (c.padding_type is { } type) return WithPadding(c, input, weight, bias, type);
        long[] padding = pads ? new long[c.kernel_size.Length] : c.padding!;
        return c.kernel_size.Length switch
        {
            1 => F.conv1d(input, weight, bias, c.stride[0], padding[0], c.dilation[0], c.groups),
            2 => F.conv2d(input, weight, bias, c.stride, padding, c.dilation, c.groups),
            _ => F.conv3d(input, weight, bias, c.stride, padding, c.dilation, c.groups),
        };
    }

    private static Tensor WithPadding(Convolution c, Tensor input, Tensor weight, Parameter? bias, Padding type) => c.kernel_size.Length switch
    {
        1 => F.conv1d_padding(input, weight, bias, c.stride[0], type, c.dilation[0], c.groups),
        2 => F.conv2d_padding(input, weight, bias, c.stride, type, c.dilation, c.groups),
        _ => F.conv3d_padding(input, weight, bias, c.stride, type, c.dilation, c.groups),
    };

    // TorchSharp's forward uses the first output_padding for every dimension; PyTorch uses one for each dimension.
    private static Tensor Transposed(Convolution c, Tensor input, Tensor weight, Parameter? bias) => c.kernel_size.Length switch
    {
        1 => F.conv_transpose1d(input, weight, bias, c.stride[0], c.padding![0], c.output_padding[0], c.dilation[0], c.groups),
        2 => F.conv_transpose2d(input, weight, bias, c.stride, c.padding, c.output_padding, c.dilation, c.groups),
        _ => F.conv_transpose3d(input, weight, bias, c.stride, c.padding, c.output_padding, c.dilation, c.groups),
    };

    /// <summary>The padding before and after each dimension, the last dimension first.</summary>
    private static long[] Padding(Convolution c)
    {
        var sides = new List<long>();
        for (int d = c.kernel_size.Length - 1; d >= 0; d--)
        {
            long both = c.padding is { } p ? 2 * p[d] : c.padding_type == TorchSharp.Padding.Same ? c.dilation[d] * (c.kernel_size[d] - 1) : 0;
            sides.AddRange([both / 2, both - both / 2]);
        }
        return [.. sides];
    }
}

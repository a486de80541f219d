using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>The part of a linear map (a convolution of any kind, or a linear layer) that folding reads and replaces.</summary>
internal sealed record LinearView(nn.Module<Tensor, Tensor> Module, Parameter Weight, Parameter? Bias, long OutChannels, bool Transposed, long Groups)
{
    /// <summary>The view of a module; null for a module of another kind.</summary>
    public static LinearView? Of(nn.Module? module) => module switch
    {
        Convolution c => new(c, c.weight, c.bias, c.out_channels, c.transposed, c.groups),
        Linear l => new(l, l.weight, l.bias, l.out_features, false, 1),
        _ => null,
    };

    /// <summary>
    /// Whether the norm's channels can be this layer's output channels. An n-dimensional convolution needs an n-dimensional norm. A linear layer has its
    /// features in the last dimension, where a norm has its channels for inputs (N, C) only.
    /// </summary>
    public bool Fits(BatchNormView norm) => norm.Dimensions is not { } n || n == (Module is Convolution c ? c.kernel_size.Length : 1);

    /// <summary>The folded parameters: new leaves that require a gradient if the layer's own do; a new bias follows the weight.</summary>
    public (Parameter weight, Parameter bias) Fold(BatchNormView norm)
    {
        using var scope = NewDisposeScope();
        var (s, t) = FoldingFunctional.Affine(norm);
        var (scale, shift) = (s.expand(OutChannels), t.expand(OutChannels));
        var weight = FoldingFunctional.Weight(Weight, scale, Transposed, Groups);
        var bias = FoldingFunctional.Bias(Bias, scale, shift, (Bias ?? Weight).dtype);
        return scope.MoveToOuter(new Parameter(weight, Weight.requires_grad), new Parameter(bias, (Bias ?? Weight).requires_grad));
    }

    /// <summary>Sets new parameters, which the layer owns from now on; the layer disposes the old ones.</summary>
    public void Set(Parameter weight, Parameter bias)
    {
        if (Module is Convolution c) c.weight = weight;
        else ((Linear)Module).weight = weight;
        SetBias(bias);
    }

    /// <summary>Sets another bias, or none.</summary>
    public void SetBias(Parameter? bias)
    {
        if (Module is Convolution c) c.bias = bias;
        else ((Linear)Module).bias = bias;
    }
}

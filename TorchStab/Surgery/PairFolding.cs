using TorchSharp.Modules;
using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>fuse_conv_bn_eval and fuse_linear_bn_eval: folds one pair, a layer and a norm, into a new layer. The originals do not change.</summary>
internal static class PairFolding
{
    public const string OnlyForEval = "Fusion only for eval!";

    public static T Convolution<T>(T conv, nn.Module<Tensor, Tensor> bn) where T : nn.Module<Tensor, Tensor>
    {
        ArgumentNullException.ThrowIfNull(conv);
        if (conv is not Convolution convolution)
            throw new ArgumentException(
                $"expected one of torch.nn's convolutions, got {conv.GetType().Name}; fuse_linear_bn_eval folds into a Linear", nameof(conv));
        var norm = Check(conv, bn);
        if (norm.Channels != convolution.out_channels)
            throw new ArgumentException(
                $"bn.num_features ({norm.Channels}) must equal conv.out_channels ({convolution.out_channels}): this norm does not follow this convolution",
                nameof(bn));
        var layer = LinearView.Of(conv)!;
        RequireFit(layer, norm, bn, $"(N, C) and {convolution.kernel_size.Length} dimensions more");
        var (weight, bias) = layer.Fold(norm);
        return (T)(object)ConvolutionCopy.Of(convolution, weight, bias);
    }

    public static Linear Linear(Linear linear, nn.Module<Tensor, Tensor> bn)
    {
        ArgumentNullException.ThrowIfNull(linear);
        var norm = Check(linear, bn);
        var layer = LinearView.Of(linear)!;
        if (norm.Channels != linear.out_features && norm.Channels != 1)
            throw new ArgumentException(
                $"To fuse, linear.out_features == bn.num_features or bn.num_features == 1; got {linear.out_features} and {norm.Channels}", nameof(bn));
        RequireFit(layer, norm, bn, "its features in the last dimension");
        var (weight, bias) = layer.Fold(norm);
        var fused = nn.Linear(weight, bias);
        fused.eval();
        return fused;
    }

    private static void RequireFit(LinearView layer, BatchNormView norm, nn.Module bn, string output)
    {
        if (!layer.Fits(norm))
            throw new ArgumentException(
                $"expected a BatchNorm that has the channels of a {layer.Module.GetType().Name}, which puts out {output}, got a {bn.GetType().Name}, "
                + $"which takes (N, C) and {norm.Dimensions} dimensions more: it normalizes along another dimension, or does not follow this layer",
                nameof(bn));
    }

    private static BatchNormView Check(nn.Module layer, nn.Module<Tensor, Tensor> bn)
    {
        ArgumentNullException.ThrowIfNull(bn);
        if (!BatchNormView.IsBatchNorm(bn))
            throw new ArgumentException($"expected a BatchNorm of TorchStab or TorchSharp, got {bn.GetType().Name}", nameof(bn));
        if (bn is BatchNormReLU)
            throw new ArgumentException(
                $"{bn.GetType().Name} ends in a ReLU, which a linear map can't contain; fuse_norms(model) leaves a ReLU in its place", nameof(bn));
        SurgeryCheck.RequireAlive(layer, "");
        SurgeryCheck.RequireAlive(bn, "");
        if (layer.training || bn.training)
            throw new InvalidOperationException($"{OnlyForEval} Batch statistics differ from call to call; call eval() on both layers first.");
        return BatchNormView.Of(bn)
            ?? throw new ArgumentException(
                "bn has no running statistics (track_running_stats: false): what it does depends on its batch and can't be folded", nameof(bn));
    }
}

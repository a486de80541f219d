using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>
/// Layer normalization over the channels of an image: y = (x − mean) / √(var + eps) · weight + bias at each position, with the mean and the biased
/// variance over dimension 1.
/// </summary>
internal static class LayerNorm2dFunctional
{
    // Where no kernel takes the input as it is, it is layer normalization of rows of channels: other inputs than channels_last are copied before and after.
    private static readonly long[] ChannelsLast = [0, 2, 3, 1], ChannelsFirst = [0, 3, 1, 2];

    /// <summary>Checks the arguments and normalizes. The result has the input's memory format.</summary>
    public static Tensor Apply(Tensor input, long num_channels, Tensor? weight, Tensor? bias, double eps, Tensor? mask)
    {
        ArgumentNullException.ThrowIfNull(input);
        ShapeCheck.Rank(input, 4, 4);
        if (input.size(1) != num_channels)
            throw new ArgumentException($"expected input of shape (N, {num_channels}, H, W), got {Repr.List(input.shape)}: dimension 1 holds the channels",
                nameof(input));
        if (mask is not null) MaskCheck.Require(mask, input);
        else if (Fits(weight, num_channels) && Fits(bias, num_channels) && NormSelection.FormOfChannels(input, weight, bias) == NormForm.Kernel
            && LayerNorm2dNode.Run(input, weight, bias, eps) is { } result) return result;
        using var scope = NewDisposeScope();
        var rows = input.permute(ChannelsLast).contiguous();
        var counts = mask?.expand(input.shape).permute(ChannelsLast);
        var output = LayerNormFunctional.Apply(rows, [num_channels], weight, bias, eps, counts).permute(ChannelsFirst);
        return (input.is_contiguous() ? output.contiguous() : MemoryLayout.Suggested(output, input)).MoveToOuterDisposeScope();
    }

    private static bool Fits(Tensor? parameter, long num_channels) => parameter is null || (parameter.dim() == 1 && parameter.numel() == num_channels);
}

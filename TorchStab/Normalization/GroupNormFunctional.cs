using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>
/// Group normalization (Wu, He 2018): y = (x − mean) / √(var + eps) · weight + bias, with the mean and the biased variance of
/// each sample over the C / num_groups channels of a group and all positions; weight and bias have one entry per channel.
/// </summary>
internal static class GroupNormFunctional
{
    /// <summary>Checks the arguments and normalizes. A channels_last input gives a channels_last output; any other output is contiguous.</summary>
    public static Tensor Apply(Tensor input, long num_groups, Tensor? weight, Tensor? bias, double eps)
    {
        Require(input, num_groups, weight, bias);
        if (AutocastPolicy.RunsInFloat32(input)) return ApplyInFloat32(input, num_groups, weight, bias, eps);
        ParameterTypes.Require(input, weight, bias, "GroupNormKernelImpl");
        var form = NormSelection.FormOfGroups(input, weight, bias, num_groups);
        if (form is NormForm.Kernel or NormForm.Native)
        {
            using var state = GroupNormNode.Group.Begin(input, num_groups, weight, bias, eps);
            if (GroupNormNode.Run(state, form) is { } output) return output;
        }
        using var scope = NewDisposeScope();
        if (form == NormForm.NativeInFloat32) return ApplyInFloat32(input, num_groups, weight, bias, eps).to(input.dtype).MoveToOuterDisposeScope();
        return Normalize(input, num_groups, weight, bias, eps).MoveToOuterDisposeScope();
    }

    /// <summary>Normalizes float32 copies of the tensors. Gradients have the dtypes of the originals.</summary>
    internal static Tensor ApplyInFloat32(Tensor input, long num_groups, Tensor? weight, Tensor? bias, double eps)
    {
        using var scope = NewDisposeScope();
        return Apply(input.to(ScalarType.Float32), num_groups, weight?.to(ScalarType.Float32), bias?.to(ScalarType.Float32), eps).MoveToOuterDisposeScope();
    }

    /// <summary>The equation in tensor operations, on any device, differentiable twice.</summary>
    private static Tensor Normalize(Tensor input, long num_groups, Tensor? weight, Tensor? bias, double eps)
    {
        long[] shape = input.shape;
        // Splitting a dimension gives a view whatever the strides, so a channels_last tensor needs no copy.
        var x = input.to(Moments.Accumulator(input)).view([shape[0], num_groups, shape[1] / num_groups, .. shape[2..]]);
        var moments = Moments.Over(x, ChannelDims.OfPositions(shape.Length + 1), eps);
        var y = (moments.Centred * moments.InverseDeviation).reshape(shape);
        if (weight is not null) y = y * ChannelDims.Broadcast(weight, y);
        if (bias is not null) y = y + ChannelDims.Broadcast(bias, y);
        return MemoryLayout.Suggested(y.to(input.dtype), input);
    }

    private static void Require(Tensor input, long num_groups, Tensor? weight, Tensor? bias)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (input.dim() < 2)
            throw new ArgumentException($"Expected at least 2 dimensions for input tensor but received {input.dim()}", nameof(input));
        if (num_groups <= 0)
            throw new ArgumentOutOfRangeException(nameof(num_groups),
                FormattableString.Invariant($"Expected num groups to be greater than 0, got {num_groups}"));
        long samples = input.size(0), channels = input.size(1);
        // From two on for each group there is more than one value, whatever the positions.
        if (samples * channels < 2 * num_groups) RequireMoreThanOneValue(input, num_groups);
        if (channels % num_groups != 0)
            throw new ArgumentException($"Expected number of channels in input to be divisible by num_groups, but got input of shape {Repr.List(input.shape)} "
                + $"and num_groups={num_groups}", nameof(num_groups));
        if (weight is not null) RequirePerChannel(weight, nameof(weight), weight, input, channels);
        // PyTorch's message for a wrong bias gives the weight's shape. Its text is kept, and ours is added.
        if (bias is not null) RequirePerChannel(bias, nameof(bias), weight ?? bias, input, channels);
    }

    // The sizes that PyTorch checks: batch size times channels of a group, and the positions.
    private static void RequireMoreThanOneValue(Tensor input, long num_groups)
    {
        if (input.size(0) * input.size(1) / num_groups * ShapeCheck.Positions(input) != 1) return;
        long[] shape = input.shape, size = [shape[0] * shape[1] / num_groups, num_groups, .. shape[2..]];
        throw new ArgumentException($"Expected more than 1 value per channel when training, got input size {Repr.List(size)}; the input of shape "
            + $"{Repr.List(shape)} has one value in each of {num_groups} groups", nameof(input));
    }

    private static void RequirePerChannel(Tensor parameter, string name, Tensor named, Tensor input, long channels)
    {
        if (parameter.dim() == 1 && parameter.numel() == channels) return;
        throw new ArgumentException($"Expected {name} to be a vector of size equal to the number of channels in input, but got {name} of shape "
            + $"{Repr.List(named.shape)} and input of shape {Repr.List(input.shape)}; {name} has shape {Repr.List(parameter.shape)}", name);
    }
}

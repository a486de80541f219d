using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>The number of inputs of a unit (fan-in) and of units that an input feeds (fan-out), from a weight's shape.</summary>
internal static class Fan
{
    /// <summary>The fans as PyTorch computes them: dimension 0 is the output, dimension 1 the input, the others are the receptive field.</summary>
    public static (long fan_in, long fan_out) Of(Tensor tensor)
    {
        var shape = Shape(tensor);
        long field = Field(shape);
        return (shape[1] * field, shape[0] * field);
    }

    /// <summary>
    /// The real fans of a convolution: with groups, an input feeds out/groups units only, and a transposed convolution stores its weight as
    /// (in, out/groups, …).
    /// </summary>
    public static (long fan_in, long fan_out) Of(Tensor tensor, long groups, bool transposed)
    {
        var shape = Shape(tensor);
        if (groups < 1) throw new ArgumentException(FormattableString.Invariant($"groups must be at least 1, got {groups}"), nameof(groups));
        if (shape[0] % groups != 0)
            throw new ArgumentException($"dim 0 must be divisible by groups: got shape {Repr.List(shape)} and groups = {groups}", nameof(groups));
        long field = Field(shape), split = shape[0] / groups * field, whole = shape[1] * field;
        return transposed ? (split, whole) : (whole, split);
    }

    /// <summary>The fan that a mode of <c>kaiming_*</c> names.</summary>
    public static long Of(Tensor tensor, FanMode mode)
    {
        if (mode is not (FanMode.FanIn or FanMode.FanOut))
        {
            string name = mode == FanMode.FanAvg ? "fan_avg" : mode.ToString();
            throw new ArgumentException($"Mode {name} not supported, please use one of ['fan_in', 'fan_out']", nameof(mode));
        }

        var (fanIn, fanOut) = Of(tensor);
        return mode == FanMode.FanIn ? fanIn : fanOut;
    }

    private static long[] Shape(Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        var shape = tensor.shape;
        return shape.Length >= 2 ? shape : throw new ArgumentException(
            $"Fan in and fan out can not be computed for tensor with fewer than 2 dimensions: got shape {Repr.List(shape)}; "
            + "biases take zeros_ or uniform_", nameof(tensor));
    }

    private static long Field(long[] shape)
    {
        long field = 1;
        for (int i = 2; i < shape.Length; i++) field *= shape[i];
        return field;
    }
}

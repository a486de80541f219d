using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>The checks of batch and instance normalization, in PyTorch's order and with its messages.</summary>
internal static class BatchNormCheck
{
    /// <summary>Checks the arguments of batch_norm; an empty input is accepted, as in PyTorch.</summary>
    public static void Arguments(in ChannelNormArguments a)
    {
        if (a.Training && !a.MayFallBack) MoreThanOneValue(a.Input, a.Running.Exist);
        Input(a.Input, a.Eps, emptyVector: true);
        if (a.Input.numel() > 0) Tensors(a);
        if (a.Mask is not null) MaskCheck.Require(a.Mask, a.Input);
    }

    /// <summary>Checks sizes with <see cref="Statistics"/>, and dtypes as PyTorch does.</summary>
    public static void Tensors(in ChannelNormArguments a, long copies = 1)
    {
        Statistics(a.Running.Mean, a.Running.Variance, a.Weight, a.Bias, a.Input.size(1), a.Training, copies);
        ParameterTypes.RequireMatch(a.Input, a.Weight, a.Bias, a.Running.Mean, a.Running.Variance);
    }

    /// <summary>The checks that apply to an empty input too.</summary>
    public static void Input(Tensor input, double eps, bool emptyVector = false)
    {
        if (input.dim() < 2 && !(emptyVector && input.numel() == 0))
            throw new ArgumentException("Dimension out of range (expected to be in range of [-1, 0], but got 1): "
                + $"input needs a batch and a channel dimension, got {Repr.Size(input)}", nameof(input));
        ShapeCheck.FloatingPoint(input, "batch_norm");
        if (double.IsNaN(eps) || eps < 0) throw new ArgumentException($"batch_norm eps must be positive, but got {Repr.Of(eps)}", nameof(eps));
    }

    /// <summary>
    /// Requires one entry for each channel, and statistics where they are needed. PyTorch runs instance normalization as batch
    /// normalization of N·C channels, and its messages give that number: <paramref name="copies"/> is then N.
    /// </summary>
    private static void Statistics(
        Tensor? running_mean, Tensor? running_var, Tensor? weight, Tensor? bias, long channels, bool training, long copies)
    {
        if (running_mean is null && !training) throw new ArgumentException("running_mean must be defined in evaluation mode", nameof(running_mean));
        ShapeCheck.Elements(running_mean, nameof(running_mean), channels, copies);
        if (running_var is null && !training) throw new ArgumentException("running_var must be defined in evaluation mode", nameof(running_var));
        ShapeCheck.Elements(running_var, nameof(running_var), channels, copies);
        ShapeCheck.Elements(weight, nameof(weight), channels, copies);
        ShapeCheck.Elements(bias, nameof(bias), channels, copies);
        if (running_mean is null != running_var is null)
            throw new ArgumentException("running_mean and running_var must either both be None or neither be None",
                running_mean is null ? nameof(running_mean) : nameof(running_var));
    }

    /// <summary>Requires more than one value in each channel, as training does.</summary>
    private static void MoreThanOneValue(Tensor input, bool hasRunning)
    {
        if (input.dim() >= 2 && ValuesPerChannel(input) == 1) throw TooFewValues(input, hasRunning, masked: false);
    }

    /// <summary>PyTorch's error for a channel with one value or, under a mask, fewer.</summary>
    public static ArgumentException TooFewValues(Tensor input, bool hasRunning, bool masked) => new(
        "Expected more than 1 value per channel when training, got input size "
        + $"{Repr.Size(input)}{(masked ? " and a mask of weight 1 or less in a channel" : "")}; "
        + (hasRunning ? "use a larger batch, eval(), or SingleValuePolicy.UseRunningStatistics on the module"
            : "use a larger batch: without running statistics (track_running_stats: false, or none given) the batch's own normalize in eval mode too"),
        nameof(input));

    /// <summary>The number of values of a channel: the batch size times the spatial sizes.</summary>
    public static long ValuesPerChannel(Tensor input) => input.size(0) * ShapeCheck.Positions(input);
}

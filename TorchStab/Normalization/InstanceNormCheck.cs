using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>The checks of instance normalization, in PyTorch's order and with its messages.</summary>
internal static class InstanceNormCheck
{
    /// <summary>Checks the arguments of instance_norm; an empty input is accepted, as in PyTorch.</summary>
    public static void Arguments(in ChannelNormArguments a)
    {
        if (a.Training) MoreThanOnePosition(a.Input);
        else Statistics(a.Running.Mean, a.Running.Variance);
        BatchNormCheck.Input(a.Input, a.Eps);
        if (a.Input.numel() > 0) BatchNormCheck.Tensors(a, copies: a.Input.size(0));
    }

    private static void Statistics(Tensor? running_mean, Tensor? running_var)
    {
        if (running_mean is null || running_var is null)
            throw new ArgumentException("Expected running_mean and running_var to be defined when use_input_stats is false",
                running_mean is null ? nameof(running_mean) : nameof(running_var));
    }

    private static void MoreThanOnePosition(Tensor input)
    {
        if (input.dim() >= 2 && ShapeCheck.Positions(input) == 1)
            throw new ArgumentException($"Expected more than 1 spatial element when training, got input size {Repr.Size(input)}; "
                + "the variance of one value says nothing: normalize before the last pooling, or over channels with LayerNorm", nameof(input));
    }
}

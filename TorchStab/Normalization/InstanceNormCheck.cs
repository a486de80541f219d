using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>What instance normalization refuses, in PyTorch's order and words.</summary>
internal static class InstanceNormCheck
{
    /// <summary>Conditions on the arguments of instance_norm; an input without elements is let pass, as PyTorch does.</summary>
    public static void Arguments(Tensor input, Tensor? running_mean, Tensor? running_var, Tensor? weight, Tensor? bias, bool use_input_stats, double eps)
    {
        if (use_input_stats) MoreThanOnePosition(input);
        if (!use_input_stats && (running_mean is null || running_var is null))
            throw new ArgumentException("Expected running_mean and running_var to be defined when use_input_stats is false",
                running_mean is null ? nameof(running_mean) : nameof(running_var));
        BatchNormCheck.Input(input, eps);
        if (input.numel() == 0) return;
        BatchNormCheck.Statistics(running_mean, running_var, weight, bias, input.size(1), use_input_stats, copies: input.size(0));
        ParameterTypes.RequireMatch(input, weight, bias, running_mean, running_var);
    }

    private static void MoreThanOnePosition(Tensor input)
    {
        if (input.dim() >= 2 && ShapeCheck.Positions(input) == 1)
            throw new ArgumentException($"Expected more than 1 spatial element when training, got input size {Repr.Size(input)}; "
                + "the variance of one value says nothing: normalize before the last pooling, or over channels with LayerNorm", nameof(input));
    }
}

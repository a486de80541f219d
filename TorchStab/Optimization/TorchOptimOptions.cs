using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Optimization;

/// <summary>Checks the options of an optimizer of <c>torch.optim</c>, which accepts infinities and NaN and then turns finite gradients into NaN.</summary>
internal static class TorchOptimOptions
{
    // Limits of a step size and of a count. An infinite limit is valid and means no limit.
    private static readonly string[] Bounds = ["max_step", "t0"];

    /// <summary>
    /// A message about the first option that would produce NaN; null if there is none, or if the optimizer is in native code and its options are not
    /// accessible.
    /// </summary>
    public static string? WhyNot(optim.Optimizer optimizer) =>
        (from options in (optimizer as OptimizerHelper)?.ParamGroups.OfType<ParamGroup>().Select(g => g.Options) ?? []
         where options is not null and not Modules.ClipOptions
         from option in Numbers(options)
         where !(Math.Abs(option.Value) <= (Bounds.Contains(option.Name) ? double.PositiveInfinity : Modules.ClipOptions.LargestRate))
         select $"expected a finite {option.Name} of {optimizer.GetType().Name}, got {Repr.Of(option.Value)}").FirstOrDefault();

    private static IEnumerable<(string Name, double Value)> Numbers(OptimizerOptions options)
    {
        if (options.LearningRate is { } lr) yield return ("lr", lr);
        foreach (var field in options.GetType().GetFields())
            if (field.GetValue(options) is double value) yield return (field.Name, value);
    }
}

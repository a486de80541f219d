using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Optimization;

/// <summary>The options of an optimizer of <c>torch.optim</c>, which takes infinities and NaN for them and makes NaN of finite gradients.</summary>
internal static class TorchOptimOptions
{
    // Bounds of a step and of a count: an infinite one bounds nothing.
    private static readonly string[] Bounds = ["max_step", "t0"];

    /// <summary>Names the first option that makes NaN, with its value; null where there is none, and for an optimizer in native code, which shows none.</summary>
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

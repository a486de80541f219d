using TorchSharp.Modules;
using TorchStab.Clipping;

namespace TorchStab.Modules;

/// <summary>
/// Options of a parameter group of a clipping-aware optimizer. What is null takes the optimizer's value. The three thresholds are
/// Keras's, at most one of them set; they are not part of a saved state, so that files remain those of <c>torch.optim</c>.
/// </summary>
public abstract class ClipOptions : OptimizerOptions
{
    // Their product, and a rate over what Adam's correction of the first step leaves of it, are numbers of float32.
    internal const double LargestRate = 1e30;
    private const double LargestDecay = 1e8;

    private (double?, double?, double?) _ruleOf;
    private GradientClip? _rule;

    /// <summary>Weight decay: decoupled in <see cref="AdamW"/>, an L2 penalty elsewhere.</summary>
    public double? weight_decay { get; set; }

    /// <summary>Whether to climb instead of to descend.</summary>
    public bool? maximize { get; set; }

    /// <summary>Each gradient by its own norm: g · c / max(‖g‖, c).</summary>
    public double? clipnorm { get; set; }

    /// <summary>Every element to [−c, c].</summary>
    public double? clipvalue { get; set; }

    /// <summary>All gradients by their common norm: g · c / max(‖all g‖, c).</summary>
    public double? global_clipnorm { get; set; }

    /// <summary>The rule of the threshold that is set; the same object as long as it is the same threshold.</summary>
    internal GradientClip? Rule
    {
        get
        {
            var thresholds = (clipnorm, clipvalue, global_clipnorm);
            if (_ruleOf != thresholds) (_ruleOf, _rule) = (thresholds, NewRule());
            return _rule;
        }
    }

    /// <summary>Takes what is unset from the optimizer's options, except the thresholds: a group without inherits the rule itself.</summary>
    internal virtual void FillFrom(ClipOptions defaults)
    {
        weight_decay ??= defaults.weight_decay;
        maximize ??= defaults.maximize;
    }

    /// <summary>Copies another group's options, the thresholds too.</summary>
    internal void Copy(ClipOptions source)
    {
        LoadStateDict(source);
        (clipnorm, clipvalue, global_clipnorm) = (source.clipnorm, source.clipvalue, source.global_clipnorm);
    }

    /// <summary>
    /// Refuses values outside their range in PyTorch's words. Asked at every step, too: anyone may set an option at any time. PyTorch asks at
    /// construction only, and takes infinities and numbers that float32 has not, which make NaN of finite gradients.
    /// </summary>
    internal virtual void Validate()
    {
        Require(LearningRate, "Invalid learning rate: ", "lr", LargestRate);
        Require(weight_decay, "Invalid weight_decay value: ", nameof(weight_decay), LargestDecay);
        Require(InitialLearningRate, "Invalid initial learning rate: ", "InitialLearningRate", LargestRate);
        Require(maximize, nameof(maximize));
        int set = (clipnorm is null ? 0 : 1) + (clipvalue is null ? 0 : 1) + (global_clipnorm is null ? 0 : 1);
        if (set > 1) throw TwoThresholds();
        _ = Rule;
    }

    /// <summary>Sets what all four optimizers have.</summary>
    private protected static T With<T>(T options, double? lr, double? weight_decay, bool? maximize, double? clipnorm, double? clipvalue, double? global_clipnorm) where T : ClipOptions
    {
        (options.LearningRate, options.weight_decay, options.maximize) = (lr, weight_decay, maximize);
        (options.clipnorm, options.clipvalue, options.global_clipnorm) = (clipnorm, clipvalue, global_clipnorm);
        return options;
    }

    /// <summary>Refuses what is no number in [0, <paramref name="largest"/>].</summary>
    private protected static void Require(double? value, string words, string name, double largest = Numbers.Largest)
    {
        if (!(value >= 0 && value <= largest)) throw Invalid(value, words, name, FormattableString.Invariant($"[0, {Numbers.Text(largest)}]"));
    }

    /// <summary>Refuses what is no number in [0, 1).</summary>
    private protected static void RequireDecay(double? value, string words, string name)
    {
        if (!(value >= 0 && value < 1)) throw Invalid(value, words, name, "[0, 1)");
    }

    private protected static void Require(bool? value, string name)
    {
        if (value is null) throw new ArgumentException($"expected {name} to be set, got null", name);
    }

    private static ArgumentException Invalid(double? value, string words, string name, string range) =>
        new($"{words}{Numbers.Text(value)}; expected a number in {range}", name);

    private ArgumentException TwoThresholds() => new("Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set. Received: " +
        $"clipnorm={Numbers.Text(clipnorm)}, clipvalue={Numbers.Text(clipvalue)}, global_clipnorm={Numbers.Text(global_clipnorm)}", nameof(clipnorm));

    private GradientClip? NewRule() =>
        clipnorm is { } n ? new ParameterNormClip(Numbers.Threshold(n, nameof(clipnorm)))
        : clipvalue is { } v ? new ValueClip(Numbers.Threshold(v, nameof(clipvalue)))
        : global_clipnorm is { } g ? new GlobalNormClip(Numbers.Threshold(g, nameof(global_clipnorm)), 2, 0)
        : null;
}

using TorchSharp.Modules;
using TorchStab.Clipping;

namespace TorchStab.Modules;

/// <summary>
/// Options of a parameter group of a clipping-aware optimizer. What is null takes the optimizer's value. The three thresholds are
/// Keras's, at most one of them set; they are not part of a saved state, so that files remain those of <c>torch.optim</c>.
/// </summary>
public abstract class ClipOptions : OptimizerOptions
{
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

    /// <summary>Refuses values outside their range in PyTorch's words.</summary>
    internal virtual void Validate()
    {
        Require(LearningRate >= 0, $"Invalid learning rate: {Numbers.Text(LearningRate)}", "lr");
        Require(maximize is not null, "expected maximize to be set, got null", nameof(maximize));
        Require(weight_decay >= 0, $"Invalid weight_decay value: {Numbers.Text(weight_decay)}", nameof(weight_decay));
        int set = (clipnorm is null ? 0 : 1) + (clipvalue is null ? 0 : 1) + (global_clipnorm is null ? 0 : 1);
        Require(set <= 1, "Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set. Received: " +
            $"clipnorm={Numbers.Text(clipnorm)}, clipvalue={Numbers.Text(clipvalue)}, global_clipnorm={Numbers.Text(global_clipnorm)}", nameof(clipnorm));
        _ = NewRule();
    }

    /// <summary>Sets what all four optimizers have.</summary>
    private protected static T With<T>(T options, double? lr, double? weight_decay, bool? maximize, double? clipnorm, double? clipvalue, double? global_clipnorm) where T : ClipOptions
    {
        (options.LearningRate, options.weight_decay, options.maximize) = (lr, weight_decay, maximize);
        (options.clipnorm, options.clipvalue, options.global_clipnorm) = (clipnorm, clipvalue, global_clipnorm);
        return options;
    }

    private protected static void Require(bool holds, string message, string name)
    {
        if (!holds) throw new ArgumentException(message, name);
    }

    private GradientClip? NewRule() =>
        clipnorm is { } n ? new ParameterNormClip(Numbers.Threshold(n, nameof(clipnorm)))
        : clipvalue is { } v ? new ValueClip(Numbers.Threshold(v, nameof(clipvalue)))
        : global_clipnorm is { } g ? new GlobalNormClip(Numbers.Threshold(g, nameof(global_clipnorm)), 2, 0)
        : null;
}

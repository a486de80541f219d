using TorchSharp.Modules;
using TorchStab.Clipping;
using TorchStab.Optimization;

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

    /// <summary>The two options that every optimizer has; each lists them where its file format has them.</summary>
    private protected static readonly Option DecayOption = Option.Number<ClipOptions>(nameof(weight_decay), "Invalid weight_decay value: ", new(0, LargestDecay)),
        MaximizeOption = Option.Flag<ClipOptions>(nameof(maximize));

    private static readonly OptionTable Common = new("this optimizer", [], [DecayOption, MaximizeOption]);
    private static readonly Bounds Rate = new(0, LargestRate);

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

    /// <summary>The options in the order of the file format; those that every optimizer has, if a class declares no others.</summary>
    internal virtual OptionTable Table => Common;

    /// <summary>Writes what <c>torch.optim</c>'s options of the same name write; the thresholds are no part of it.</summary>
    /// <param name="writer">Where to write.</param>
    public override void SaveStateDict(BinaryWriter writer)
    {
        base.SaveStateDict(writer);
        Table.Save(this, writer);
    }

    /// <summary>Reads what <see cref="SaveStateDict"/> wrote.</summary>
    /// <param name="reader">Where to read.</param>
    public override void LoadStateDict(BinaryReader reader)
    {
        base.LoadStateDict(reader);
        Table.Load(this, reader);
    }

    /// <summary>Copies the options of another optimizer of this kind, TorchStab's or TorchSharp's. The thresholds stay.</summary>
    /// <param name="source">Those to copy.</param>
    /// <exception cref="InvalidOperationException">Of another kind of optimizer.</exception>
    public override void LoadStateDict(OptimizerOptions source)
    {
        Table.Copy(this, source);
        base.LoadStateDict(source);
    }

    /// <summary>Takes what is unset from the optimizer's options, except the thresholds: a group without inherits the rule itself.</summary>
    internal void FillFrom(ClipOptions defaults)
    {
        Table.Fill(this, defaults);
        LearningRate ??= defaults.LearningRate;
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
        Rate.Require(LearningRate, "Invalid learning rate: ", "lr");
        Rate.Require(InitialLearningRate, "Invalid initial learning rate: ", "InitialLearningRate");
        Table.Check(this);
        int set = (clipnorm is null ? 0 : 1) + (clipvalue is null ? 0 : 1) + (global_clipnorm is null ? 0 : 1);
        if (set > 1) throw TwoThresholds();
        _ = Rule;
    }

    /// <summary>Sets what all optimizers have.</summary>
    private protected static T With<T>(T options, double? lr, double? weight_decay, bool? maximize, double? clipnorm, double? clipvalue, double? global_clipnorm) where T : ClipOptions
    {
        (options.LearningRate, options.weight_decay, options.maximize) = (lr, weight_decay, maximize);
        (options.clipnorm, options.clipvalue, options.global_clipnorm) = (clipnorm, clipvalue, global_clipnorm);
        return options;
    }

    private ArgumentException TwoThresholds() => new("Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set. Received: " +
        $"clipnorm={Repr.Of(clipnorm)}, clipvalue={Repr.Of(clipvalue)}, global_clipnorm={Repr.Of(global_clipnorm)}", nameof(clipnorm));

    private GradientClip? NewRule() =>
        clipnorm is { } n ? new ParameterNormClip(Numbers.Threshold(n, nameof(clipnorm)))
        : clipvalue is { } v ? new ValueClip(Numbers.Threshold(v, nameof(clipvalue)))
        : global_clipnorm is { } g ? new GlobalNormClip(Numbers.Threshold(g, nameof(global_clipnorm)), 2, 0)
        : null;
}

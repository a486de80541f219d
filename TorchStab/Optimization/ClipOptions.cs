using TorchSharp.Modules;
using TorchStab.Clipping;
using TorchStab.Optimization;

namespace TorchStab.Modules;

/// <summary>
/// Options of a parameter group of a clipping-aware optimizer. A null takes the optimizer's value. The three thresholds are
/// Keras's, and at most one of them may be set. They and <see cref="master_weights"/> are not saved, so that files keep the format of <c>torch.optim</c>.
/// </summary>
public abstract class ClipOptions : OptimizerOptions
{
    // Their product, and a rate divided by Adam's bias correction of the first step, are in float32's range.
    internal const double LargestRate = 1e30;
    private const double LargestDecay = 1e8;

    /// <summary>The two options that every optimizer has. Each class lists them at their position in its file format.</summary>
    private protected static readonly Option DecayOption =
        Option.Number<ClipOptions>(nameof(weight_decay), "Invalid weight_decay value: ", new(0, LargestDecay)),
        MaximizeOption = Option.Flag<ClipOptions>(nameof(maximize));

    private static readonly OptionTable Common = new("this optimizer", [], [DecayOption, MaximizeOption]);
    private static readonly Bounds Rate = new(0, LargestRate);

    private (double?, double?, double?) _ruleOf;
    private GradientClip? _rule;

    /// <summary>Weight decay: decoupled in <see cref="AdamW"/>, an L2 penalty elsewhere.</summary>
    public double? weight_decay { get; set; }

    /// <summary>Whether to maximize the loss instead of minimizing it.</summary>
    public bool? maximize { get; set; }

    /// <summary>Clips each gradient by its own norm: g · c / max(‖g‖, c).</summary>
    public double? clipnorm { get; set; }

    /// <summary>Clamps every element to [−c, c].</summary>
    public double? clipvalue { get; set; }

    /// <summary>Clips all gradients by their common norm: g · c / max(‖all g‖, c).</summary>
    public double? global_clipnorm { get; set; }

    /// <summary>
    /// Whether float16 and bfloat16 parameters are updated through a float32 copy (<see cref="MomentState.master_param"/>); null: no. Turned on later, the
    /// next step makes the copies; turned off, it frees them.
    /// </summary>
    public bool? master_weights { get; set; }

    /// <summary>The rule of the threshold that is set; the same object until the threshold changes.</summary>
    internal GradientClip? Rule
    {
        get
        {
            var thresholds = (clipnorm, clipvalue, global_clipnorm);
            if (_ruleOf != thresholds) (_ruleOf, _rule) = (thresholds, NewRule());
            return _rule;
        }
    }

    /// <summary>The options in the order of the file format. By default only those that every optimizer has.</summary>
    internal virtual OptionTable Table => Common;

    /// <summary>Writes the options in the format of <c>torch.optim</c>'s options of the same name, without the thresholds.</summary>
    /// <param name="writer">Receives the options.</param>
    public override void SaveStateDict(BinaryWriter writer)
    {
        base.SaveStateDict(writer);
        Table.Save(this, writer);
    }

    /// <summary>Reads options that <see cref="SaveStateDict"/> has written.</summary>
    /// <param name="reader">Contains the options.</param>
    public override void LoadStateDict(BinaryReader reader)
    {
        base.LoadStateDict(reader);
        Table.Load(this, reader);
    }

    /// <summary>Copies the options of another optimizer of this kind, TorchStab's or TorchSharp's, except those that are not saved.</summary>
    /// <param name="source">The options to copy.</param>
    /// <exception cref="InvalidOperationException">They belong to another kind of optimizer.</exception>
    public override void LoadStateDict(OptimizerOptions source)
    {
        Table.Copy(this, source);
        base.LoadStateDict(source);
    }

    /// <summary>Sets the options that are null to the optimizer's, except the thresholds: a group without a threshold uses the optimizer's rule.</summary>
    internal void FillFrom(ClipOptions defaults)
    {
        Table.Fill(this, defaults);
        LearningRate ??= defaults.LearningRate;
        master_weights ??= defaults.master_weights;
    }

    /// <summary>Copies all options of another group.</summary>
    internal void Copy(ClipOptions source)
    {
        LoadStateDict(source);
        (clipnorm, clipvalue, global_clipnorm) = (source.clipnorm, source.clipvalue, source.global_clipnorm);
        master_weights = source.master_weights;
    }

    /// <summary>
    /// Throws, with PyTorch's messages, if a value is outside its range. Every step checks again, because an option may be set at any time.
    /// PyTorch checks only at construction, and accepts infinities and numbers out of float32's range, which turn finite gradients into NaN.
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

    /// <summary>Sets the options that all optimizers have.</summary>
    private protected static T With<T>(T options, double? lr, double? weight_decay, bool? maximize, double? clipnorm, double? clipvalue,
        double? global_clipnorm, bool? master_weights) where T : ClipOptions
    {
        (options.LearningRate, options.weight_decay, options.maximize) = (lr, weight_decay, maximize);
        (options.clipnorm, options.clipvalue, options.global_clipnorm) = (clipnorm, clipvalue, global_clipnorm);
        options.master_weights = master_weights;
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

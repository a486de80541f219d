using TorchStab.Initialization;

namespace TorchStab.Diagnostics;

/// <summary>The proposed fix for each kind of verdict, in a sentence; more specific if the surroundings of the layer are known.</summary>
internal static class Remedies
{
    public const string NotConnected = "the loss does not depend on it: use it in forward, remove detach() and no_grad() on the way, "
        + "or freeze it with requires_grad = false";
    public const string UpdateTooSmall = "raise the learning rate, or take Adam if the gradient is small too";
    public const string BadActivation = "examine its input and its weights: lower the learning rate, clip gradients, "
        + "and guard log, sqrt and division with an epsilon";
    public const string BadLoss = "it comes from the loss or a forward value: record every call with ActivationMonitor, "
        + "and guard log, sqrt and division with an epsilon";
    public const string BadWeights = "an earlier step wrote it: return to a checkpoint, and step with a TorchStab optimizer, "
        + "which never applies a non-finite gradient";

    public const string LargeLogits = "normalize queries and keys with stab.nn.RMSNorm before their product, or add a z-loss where they are the model's output";

    public const string NotRecorded = "call Step instead of the optimizer's step, or Observe after backward()";

    public const string NotSeen = "hooks fire in call() only: run the model and its layers by call(), not by forward(), with the monitor enabled";
    public const string NotStepped = "give it to the optimizer (add_param_group), or freeze it with requires_grad = false";
    public const string NothingSteps = "the learning rate is 0 or every step is skipped: check the scheduler and LastStep.Skipped";
    public const string Unchanged = "its learning rate is 0, or the optimizer that steps does not have it: check its parameter group, "
        + "or freeze it with requires_grad = false";

    public static string Dead(bool normalized) =>
        $"a unit at zero passes no gradient back: initialize with he_*, {(normalized ? "" : "normalize before it, ")}lower the learning rate, or use LeakyReLU";

    public static string Saturated(bool normalized) =>
        $"the flat ends pass no gradient back: initialize with xavier_*, {(normalized ? "lower the learning rate" : "normalize before it and the input")}, "
        + "or use ReLU with he_*";

    public static string UpdateTooLarge(LayerContext context) =>
        $"lower the learning rate{(context.Clips ? " or warm it up" : ", warm it up, or clip with global_clipnorm")}";

    public static string BadGradient(LayerContext context) =>
        $"its backward pass made it: guard log, sqrt and division with an epsilon, {(context.Clips ? "" : "clip gradients, ")}"
        + "and let NonFinitePolicy.Skip skip the step";

    public static string BlockedBy(string layer) =>
        $"the weights of {layer} are zero, so it passes no gradient back: initialize it with stab.nn.init.initialize_, or let it learn";

    public static string Follows(string culprit) => $"it follows from {culprit}: fix that first";

    /// <summary>The fixes that the model does not have yet.</summary>
    public static string Vanishing(LayerContext context, string layer)
    {
        if (context.IsRecurrent(layer))
            return context.IsGated(layer) ? "make the recurrent weights orthogonal, or shorten the sequences"
                : "use an LSTM or GRU (LayerNormLSTM) with orthogonal recurrent weights";
        string initialized = context.HasDefaultWeights(layer) ? " after default initialization" : "";
        string? normalize = context.NormalizesAll ? null : context.Normalizes ? "normalize before every activation" : "BatchNorm";
        var after = context.After(layer);
        string? scheme = after is null || context.IsInitializedFor(layer, after) ? null : IsSShaped(after) ? "use xavier_*" : "use he_*";
        return after switch
        {
            not null when IsSShaped(after) => $"{Name(after)}{initialized}: {Join(Join(scheme, normalize, " and "), "ReLU with he_*", ", or ", alone: "use ")}",
            not null => $"{Name(after)}{initialized}: {Join(scheme, normalize, " and ") ?? "add residual connections"}",
            null => $"initialize with stab.nn.init.initialize_, {(context.NormalizesAll ? "" : context.Normalizes ? "normalize more layers, " : "normalize, ")}"
                + "or add residual connections",
        };
    }

    /// <inheritdoc cref="Vanishing"/>
    public static string Exploding(LayerContext context, string layer)
    {
        string? clip = context.Clips ? null : "clip with clip_grad_norm_ or global_clipnorm";
        if (context.IsRecurrent(layer)) return Join(clip, "make the recurrent weights orthogonal", ", and ")!;
        var after = context.After(layer);
        string? scheme = after is null ? "initialize with stab.nn.init.initialize_"
            : context.IsInitializedFor(layer, after) ? null : IsSShaped(after) ? "initialize with xavier_*" : "initialize with he_*";
        return Join(clip, Join(scheme, context.Normalizes ? null : "normalize", " or "), ", and ") ?? "lower the learning rate, or the clipping threshold";
    }

    private static bool IsSShaped(Activation activation) => activation.Nonlinearity is Nonlinearity.Sigmoid or Nonlinearity.Tanh;

    // Both texts with a word between, or the one that is not null.
    private static string? Join(string? first, string? second, string with, string alone = "") =>
        first is null ? second is null ? null : alone + second : second is null ? first : first + with + second;

    private static string Name(Activation activation) => IsSShaped(activation) ? activation.Name.ToLowerInvariant() : activation.Name;
}

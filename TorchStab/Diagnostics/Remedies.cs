using TorchStab.Initialization;

namespace TorchStab.Diagnostics;

/// <summary>What helps against what, in a sentence; one for each disease, told more closely where the layer's surroundings are known.</summary>
internal static class Remedies
{
    public const string NotConnected = "the loss does not depend on it: use it in forward, take out detach() and no_grad() on the way, or freeze it with requires_grad = false";
    public const string UpdateTooSmall = "raise the learning rate, or take Adam if the gradient is small too";
    public const string BadActivation = "look at its input and its weights: lower the learning rate, clip gradients, and guard log, sqrt and division with an epsilon";
    public const string BadLoss = "it came with the loss or a forward value: look with ActivationMonitor at every call, and guard log, sqrt and division with an epsilon";
    public const string BadWeights = "a step before wrote it: go back to a checkpoint, and step with a TorchStab optimizer, which never lets a non-finite gradient in";

    public const string NotSeen = "hooks fire in call() only: run the model and its layers by call(), not by forward(), with the monitor enabled";
    public const string NotStepped = "give it to the optimizer (add_param_group), or freeze it with requires_grad = false";
    public const string NothingSteps = "the learning rate is 0 or every step is skipped: look at the scheduler and at LastStep.Skipped";
    public const string Resting = "its learning rate is 0, or the optimizer that steps does not have it: look at its parameter group, or freeze it with requires_grad = false";

    public static string Dead(bool normalized) =>
        $"nothing comes back through a unit at zero: initialize with he_*, {(normalized ? "" : "normalize before it, ")}lower the learning rate, or use LeakyReLU";

    public static string Saturated(bool normalized) =>
        $"nothing comes back from the flat ends: initialize with xavier_*, {(normalized ? "lower the learning rate" : "normalize before it and the input")}, or use ReLU with he_*";

    public static string UpdateTooLarge(LayerContext context) => $"lower the learning rate{(context.Clips ? " or warm it up" : ", warm it up, or clip with global_clipnorm")}";

    public static string BadGradient(LayerContext context) =>
        $"its backward made it: guard log, sqrt and division with an epsilon, {(context.Clips ? "" : "clip gradients, ")}and let NonFinitePolicy.Skip leave the step out";

    public static string BlockedBy(string layer) => $"the weights of {layer} are zero, so nothing comes back through it: initialize it with stab.nn.init.initialize_, or let it learn";

    public static string Follows(string culprit) => $"it follows from {culprit}: cure that first";

    /// <summary>What helps and is not in place already.</summary>
    public static string Vanishing(LayerContext context, string layer)
    {
        if (context.IsRecurrent(layer))
            return context.IsGated(layer) ? "make the recurrent weights orthogonal, or shorten the sequences" : "use an LSTM or GRU (LayerNormLSTM) with orthogonal recurrent weights";
        string came = context.IsAsItCame(layer) ? " after default initialization" : "";
        string? normalize = context.NormalizesAll ? null : context.Normalizes ? "normalize before every activation" : "BatchNorm";
        var after = context.After(layer);
        string? scheme = after is null || context.IsInitializedFor(layer, after) ? null : IsSShaped(after) ? "use xavier_*" : "use he_*";
        return after switch
        {
            not null when IsSShaped(after) => $"{Name(after)}{came}: {Join(Join(scheme, normalize, " and "), "ReLU with he_*", ", or ", alone: "use ")}",
            not null => $"{Name(after)}{came}: {Join(scheme, normalize, " and ") ?? "add residual connections"}",
            null => $"initialize with stab.nn.init.initialize_, {(context.NormalizesAll ? "" : context.Normalizes ? "normalize more layers, " : "normalize, ")}or add residual connections",
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
        return Join(clip, Join(scheme, context.Normalizes ? null : "normalize", " or "), ", and ") ?? "lower the learning rate, or what it is clipped to";
    }

    private static bool IsSShaped(Activation activation) => activation.Nonlinearity is Nonlinearity.Sigmoid or Nonlinearity.Tanh;

    // Both, or the one that there is.
    private static string? Join(string? first, string? second, string with, string alone = "") =>
        first is null ? second is null ? null : alone + second : second is null ? first : first + with + second;

    private static string Name(Activation activation) => IsSShaped(activation) ? activation.Name.ToLowerInvariant() : activation.Name;
}

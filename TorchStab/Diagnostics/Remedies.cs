using TorchStab.Initialization;

namespace TorchStab.Diagnostics;

/// <summary>What helps against what, in a sentence; one for each disease, told more closely where the layer's surroundings are known.</summary>
internal static class Remedies
{
    public const string NotConnected = "the loss does not depend on it: use it in forward, take out detach() and no_grad() on the way, or freeze it with requires_grad = false";
    public const string Dead = "nothing comes back through a unit at zero: initialize with he_*, normalize before it, lower the learning rate, or use LeakyReLU";
    public const string Saturated = "nothing comes back from the flat ends: initialize with xavier_*, normalize before it and the input, or use ReLU with he_*";
    public const string UpdateTooLarge = "lower the learning rate, warm it up, or clip with global_clipnorm";
    public const string UpdateTooSmall = "raise the learning rate, or take Adam if the gradient is small too";
    public const string BadActivation = "look at its input and its weights: lower the learning rate, clip gradients, and guard log, sqrt and division with an epsilon";
    public const string BadGradient = "its backward made it: guard log, sqrt and division with an epsilon, clip gradients, and let NonFinitePolicy.Skip leave the step out";
    public const string BadLoss = "it came with the loss or a forward value: look with ActivationMonitor at every call, and guard log, sqrt and division with an epsilon";
    public const string BadWeights = "a step before wrote it: go back to a checkpoint, and step with a TorchStab optimizer, which never lets a non-finite gradient in";

    public static string Follows(string culprit) => $"it follows from {culprit}: cure that first";

    public static string Vanishing(LayerContext context, string layer)
    {
        if (context.IsRecurrent(layer)) return "use an LSTM or GRU (LayerNormLSTM) with orthogonal recurrent weights";
        string came = context.IsAsItCame(layer) ? " after default initialization" : "";
        string normalize = context.Normalizes ? "normalize before every activation" : "BatchNorm";
        return context.After(layer) switch
        {
            { Nonlinearity: Nonlinearity.Sigmoid or Nonlinearity.Tanh } s => $"{Name(s)}{came}: use xavier_* and {normalize}, or ReLU with he_*",
            { } rectifier => $"{Name(rectifier)}{came}: use he_* and {normalize}",
            null => $"initialize with stab.nn.init.initialize_, {(context.Normalizes ? "normalize more layers" : "normalize")}, or add residual connections",
        };
    }

    public static string Exploding(LayerContext context, string layer)
    {
        if (context.IsRecurrent(layer)) return "clip with clip_grad_norm_ or global_clipnorm, and make the recurrent weights orthogonal";
        string scheme = context.After(layer) switch
        {
            { Nonlinearity: Nonlinearity.Sigmoid or Nonlinearity.Tanh } => "xavier_*",
            { } => "he_*",
            null => "stab.nn.init.initialize_",
        };
        return $"clip with clip_grad_norm_ or global_clipnorm, and initialize with {scheme}{(context.Normalizes ? "" : " or normalize")}";
    }

    private static string Name(Activation activation) => activation.Nonlinearity is Nonlinearity.Sigmoid or Nonlinearity.Tanh
        ? activation.Name.ToLowerInvariant() : activation.Name;
}

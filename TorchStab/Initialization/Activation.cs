using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>
/// The function after a layer: its family, leaky ReLU's slope, its name in reports, and how it was found (“, …”; empty if a Sequential shows it).
/// </summary>
internal sealed record Activation(Nonlinearity Nonlinearity, double Slope, string Name, string How = "")
{
    /// <summary>Guessed from the order in which a module registers its children.</summary>
    public const string ByOrder = ", by order of registration";

    /// <summary>Found in a run of the model.</summary>
    public const string InTheRun = ", seen in the run";

    /// <summary>The function that a module applies; null if it is not an activation function.</summary>
    public static Activation? Of(nn.Module module) => module switch
    {
        LeakyReLU leaky => new(Nonlinearity.LeakyReLU, leaky.negative_slope, nameof(LeakyReLU)),
        RReLU random => new(Nonlinearity.LeakyReLU, (random.lower + random.upper) / 2, nameof(RReLU)),
        PReLU => new(Nonlinearity.LeakyReLU, 0.25, nameof(PReLU)),
        SELU => new(Nonlinearity.SELU, 0, nameof(SELU)),
        ReLU or ReLU6 or GELU or SiLU or Mish or ELU or CELU or Hardswish or Softplus or Threshold => new(Nonlinearity.ReLU, 0, NameOf(module)),
        Tanh or Tanhshrink or Hardtanh or Softsign => new(Nonlinearity.Tanh, 0, NameOf(module)),
        Sigmoid or LogSigmoid or Hardsigmoid or GLU or Softmax or Softmax2d or LogSoftmax or Softmin => new(Nonlinearity.Sigmoid, 0, NameOf(module)),
        Hardshrink or Softshrink => new(Nonlinearity.Linear, 0, NameOf(module)),
        _ when NameOf(module).Contains("NormReLU", StringComparison.Ordinal) => new(Nonlinearity.ReLU, 0, NameOf(module)),
        _ => null,
    };

    private static string NameOf(nn.Module module) => module.GetType().Name;
}

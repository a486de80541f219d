using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>The function after a layer: its family, leaky ReLU's slope, and the name a report shows.</summary>
internal sealed record Activation(Nonlinearity Nonlinearity, double Slope, string Name)
{
    /// <summary>The function a module applies; null where it is none.</summary>
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

    /// <summary>
    /// What follows each layer of every Sequential, nested ones read as one chain. Normalization, dropout, pooling and whatever else has
    /// no weights of its own is looked through; another layer or the chain's end means that nothing follows.
    /// </summary>
    public static Dictionary<nn.Module, Activation> AfterLayers(IEnumerable<ModuleNode> nodes)
    {
        var after = new Dictionary<nn.Module, Activation>(ReferenceEqualityComparer.Instance);
        foreach (var node in nodes.Where(n => IsChain(n.Module) && !(n.Path.Count > 1 && IsChain(n.Path[^2]))))
        {
            Activation? next = null;
            foreach (var module in Chain(node.Module).Reverse())
            {
                if (Of(module) is { } activation)
                {
                    next = activation;
                }
                else if (!IsTransparent(module))
                {
                    if (next is not null) after.TryAdd(module, next);
                    next = null;
                }
            }
        }

        return after;
    }

    private static bool IsChain(nn.Module module) =>
        module is Sequential || (module.GetType().BaseType is { IsGenericType: true } b && b.Name.StartsWith("Sequential`", StringComparison.Ordinal));

    private static IEnumerable<nn.Module> Chain(nn.Module module) =>
        IsChain(module) ? module.children().SelectMany(Chain) : [module];

    private static bool IsTransparent(nn.Module module) =>
        LayerKind.IsNorm(module) || (module.GetType().Namespace == "TorchSharp.Modules" && !module.parameters().Any());

    private static string NameOf(nn.Module module) => module.GetType().Name;
}

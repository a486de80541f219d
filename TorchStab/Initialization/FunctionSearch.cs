using static TorchSharp.torch;
using static TorchSharp.torch.nn.functional;

namespace TorchStab.Initialization;

/// <summary>Finds, by its results, an activation function that was called without a module.</summary>
internal static class FunctionSearch
{
    private static readonly (string name, Nonlinearity family, Func<Tensor, Tensor> function)[] Functions =
    [
        ("GELU", Nonlinearity.ReLU, x => gelu(x)), ("GELU", Nonlinearity.ReLU, GeluByTanh), ("SiLU", Nonlinearity.ReLU, x => silu(x)),
        ("Mish", Nonlinearity.ReLU, x => mish(x)),
        ("ELU", Nonlinearity.ReLU, x => elu(x, 1)), ("Hardswish", Nonlinearity.ReLU, x => hardswish(x)), ("Softplus", Nonlinearity.ReLU, x => softplus(x)),
        ("ReLU6", Nonlinearity.ReLU, x => x.clamp(0, 6)), ("SELU", Nonlinearity.SELU, x => selu(x)), ("Tanh", Nonlinearity.Tanh, x => x.tanh()),
        ("Hardtanh", Nonlinearity.Tanh, x => x.clamp(-1, 1)), ("Softsign", Nonlinearity.Tanh, x => softsign(x)),
        ("Sigmoid", Nonlinearity.Sigmoid, x => x.sigmoid()),
        ("Hardsigmoid", Nonlinearity.Sigmoid, x => (x / 6 + 0.5).clamp(0, 1)), ("Softmax", Nonlinearity.Sigmoid, x => x.softmax(-1)),
        ("LogSoftmax", Nonlinearity.Sigmoid, x => x.log_softmax(-1)), ("Softmax", Nonlinearity.Sigmoid, x => x.softmax(Math.Min(1, x.dim() - 1))),
        ("LogSoftmax", Nonlinearity.Sigmoid, x => x.log_softmax(Math.Min(1, x.dim() - 1))),
    ];

    // The minimum of functions that have one. They reach it at inputs of order 1 and are flat there: a few hundred values show it to five digits.
    private static readonly (string name, double value)[] Minima =
        [("GELU", -0.169971), ("GELU", -0.170041), ("SiLU", -0.278465), ("Mish", -0.308843), ("Hardswish", -0.375)];

    /// <summary>The function f with result = f(values); null if no known function fits.</summary>
    public static Activation? Of(Tensor values, in Fingerprint of, in Fingerprint result, double tolerance)
    {
        if (of.Count != result.Count) return null;
        using var scope = NewDisposeScope();
        double slope = result.Least / of.Least;
        if (of.Least < 0 && Math.Abs(slope) < 0.999 && Fingerprint.Of(leaky_relu(values, slope)).IsNear(result, tolerance)) return Rectifier(slope);
        foreach (var (name, family, function) in Functions)
            if (Fingerprint.Of(function(values)).IsNear(result, tolerance)) return new(family, 0, name, Activation.InTheRun);
        return null;
    }

    /// <summary>The function f with result = f(values)·other, a gate; null if no known function fits.</summary>
    public static Activation? OfGate(Tensor values, Tensor other, in Fingerprint result, double tolerance)
    {
        using var scope = NewDisposeScope();
        foreach (var (name, family, function) in Functions)
            if (Fingerprint.Of(function(values) * other).IsNear(result, tolerance)) return new(family, 0, name, Activation.InTheRun);
        return Fingerprint.Of(values.relu() * other).IsNear(result, tolerance) ? Rectifier(0) : null;
    }

    /// <summary>
    /// The function that was applied last, if the range of its results identifies it, whatever was done before (a sum, a pooling, a concatenation); else
    /// null.
    /// </summary>
    public static Activation? ByRange(in Fingerprint result)
    {
        double least = result.Least;
        if (least == 0 && result.Most > 0) return Rectifier(0);
        return Minima.FirstOrDefault(f => Math.Abs(least - f.value) < 2e-5).name is { } name ? new(Nonlinearity.ReLU, 0, name, Activation.InTheRun) : null;
    }

    private static Activation Rectifier(double slope) => Math.Abs(slope) < 1e-6
        ? new(Nonlinearity.ReLU, 0, "ReLU", Activation.InTheRun) : new(Nonlinearity.LeakyReLU, slope, "LeakyReLU", Activation.InTheRun);

    private static Tensor GeluByTanh(Tensor x) => 0.5 * x * (1 + (Math.Sqrt(2 / Math.PI) * (x + 0.044715 * x.pow(3))).tanh());
}

using TorchStab.Dispatch;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Initialization;

/// <summary>The schemes for each kind of layer. <see cref="Visit"/> adds the parameter's name and the measured deviation to their entries.</summary>
internal sealed partial class ModelInitializer
{
    private static readonly Activation Unknown = new(Nonlinearity.Linear, 0, "", "no activation known");
    private static readonly Activation NoneInTheRun = new(Nonlinearity.Linear, 0, "", "no activation in the run");

    /// <summary>He before the ReLU family, LeCun before SELU; Xavier before S-shaped functions, and if no function is known to follow.</summary>
    private InitializationEntry Weight(ModuleNode node, Tensor weight)
    {
        if (weight.NumberOfElements == 0) return Entry("left empty");
        var (fanIn, fanOut) = LayerKind.Fans(node.Module, weight);
        var next = Next(node);
        var (scheme, fan, std) = next.Nonlinearity switch
        {
            Nonlinearity.ReLU or Nonlinearity.LeakyReLU => He(fanIn, fanOut, next),
            Nonlinearity.SELU => ("LeCun", fanIn, 1 / Math.Sqrt(fanIn)),
            _ => ("Xavier", (fanIn + fanOut) / 2.0, Math.Sqrt(2.0 / (fanIn + fanOut))),
        };
        bool residual = _residualOutputs.Contains(node);
        if (residual) std *= _residualFactor;
        VarianceScaling.Draw(weight, std, _options.Distribution, _generator);
        string reason = next.Name.Length == 0 ? next.How : $"before {next.Name}{next.How}";
        return Entry($"{scheme} {DistributionName} ({reason}{(residual ? ", residual output" : "")})", fan, std);
    }

    private (string, double, double) He(long fanIn, long fanOut, Activation next)
    {
        double fan = _options.Mode switch { FanMode.FanIn => fanIn, FanMode.FanOut => fanOut, _ => (fanIn + fanOut) / 2.0 };
        return ("He", fan, Gain.Of(next.Nonlinearity, next.Slope) / Math.Sqrt(fan));
    }

    /// <summary>The function after a layer: by the first rule that matches, else by the run, else by the order of modules.</summary>
    private Activation Next(ModuleNode node)
    {
        var next = _rules.TryGetValue(node, out var rule) ? new(rule.Nonlinearity, rule.Slope, $"{rule.Nonlinearity} by rule")
            : _afterInRun.TryGetValue(node.Module, out var seen) ? seen ?? NoneInTheRun
            : _after.GetValueOrDefault(node.Module);
        _notes.AddLayer(node.Name, next);
        return next ?? Unknown;
    }

    private string DistributionName => _options.Distribution switch
    {
        InitDistribution.Uniform => "uniform",
        InitDistribution.Normal => "normal",
        _ => "truncated normal",
    };

    private InitializationEntry NormWeight(ModuleNode norm, Tensor weight)
    {
        double neutral = 1;
        if (!LayerKind.IsKnownNorm(norm.Module))
        {
            _notes.AddNorm(norm);
            neutral = NormByName.NeutralScale(norm.Module, weight);
        }

        if (_lastNorms.Contains(norm.Module)) return Ones(weight, neutral - 1, "zeros (last norm of a residual block)");
        return Ones(weight, neutral, neutral == 1 ? "ones" : "zeros (scales by 1 + weight)");
    }

    private static InitializationEntry Ones(Tensor tensor, double value, string word)
    {
        tensor.fill_(Held(value));
        return Entry(word);
    }

    private static InitializationEntry Zeros(Tensor tensor)
    {
        tensor.fill_(Zero);
        return Entry("zeros");
    }

    /// <summary>Keeps the row of the padding index at zero. TorchSharp does not expose the index; it is the only row of zeros.</summary>
    private InitializationEntry EmbeddingWeight(Tensor weight)
    {
        using var scope = NewDisposeScope();
        var padding = KernelSelection.HasMemory(weight) ? weight.norm(dim: 1).eq(Zero).nonzero().flatten() : null;
        double? output = _options.RequestedEmbeddingStd is null ? _tables.Std(weight.size(1)) : null;
        double std = output ?? _options.EmbeddingStd;
        string scheme = output is null ? "normal" : _tables.Tied(weight) ? "normal (embedding and output layer)" : "normal (as wide as an output table)";
        Normal.Fill(weight, 0, std, _generator);
        if (padding?.NumberOfElements != 1) return Entry(scheme, null, std);
        weight.index_fill_(0, padding, Zero);
        return Entry($"{scheme}, padding row zero", null, std);
    }

    /// <summary>Initializes each gate by itself: Xavier for input weights, orthogonal for recurrent ones; biases 0, except an LSTM's forget gate.</summary>
    private InitializationEntry RecurrentParameter(nn.Module module, string name, Tensor parameter)
    {
        if (parameter.dim() < 2) return RecurrentBias(module, name, parameter);
        var hidden = LayerKind.Parameters(module).First(p => LayerKind.IsRecurrentMatrix(p.Name)).Parameter.size(1);
        using var scope = NewDisposeScope();
        bool recurrent = LayerKind.IsRecurrentMatrix(name);
        double std = recurrent ? 1 / Math.Sqrt(hidden) : Math.Sqrt(2.0 / (parameter.size(1) + hidden));
        foreach (var gate in parameter.split(hidden))
        {
            if (recurrent) Orthogonal.Fill(gate, 1, _generator);
            else VarianceScaling.Draw(gate, std, _options.Distribution, _generator);
        }

        return recurrent ? Entry("orthogonal per gate", hidden, std) : Entry($"Xavier {DistributionName} per gate", (parameter.size(1) + hidden) / 2.0, std);
    }

    private InitializationEntry RecurrentBias(nn.Module module, string name, Tensor bias)
    {
        bias.fill_(Zero);
        var matrix = LayerKind.Parameters(module).First(p => LayerKind.IsRecurrentMatrix(p.Name)).Parameter;
        long hidden = matrix.size(1);
        bool forgets = matrix.size(0) == 4 * hidden && bias.NumberOfElements == 4 * hidden && !name.StartsWith("bias_hh", StringComparison.Ordinal);
        if (!forgets) return Entry("zeros");
        using var gate = bias.narrow(0, hidden, hidden);
        gate.fill_(Held(_options.ForgetBias));
        return Entry($"zeros, forget gate {InitArguments.Cpp(_options.ForgetBias)}");
    }

    /// <summary>As PyTorch's transformer: Xavier for every matrix, with query, key and value as three separate ones.</summary>
    private InitializationEntry AttentionParameter(string name, Tensor parameter)
    {
        if (parameter.dim() < 2)
            return name.EndsWith("weight", StringComparison.Ordinal) ? Ones(parameter, 1, "ones") : Zeros(parameter);
        var (fanIn, fanOut) = Fan.Of(parameter);
        if (name.EndsWith("in_proj_weight", StringComparison.Ordinal)) fanOut /= 3;
        double std = Math.Sqrt(2.0 / (fanIn + fanOut));
        VarianceScaling.Draw(parameter, std, _options.Distribution, _generator);
        return Entry($"Xavier {DistributionName} (attention)", (fanIn + fanOut) / 2.0, std);
    }

    private static InitializationEntry Entry(string scheme, double? fan = null, double? std = null) => new("", scheme, fan, std, double.NaN);
}

using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>What each kind of layer gets. Entries leave the name and the measurement to the walk.</summary>
internal sealed partial class ModelInitializer
{
    private static readonly Activation Unknown = new(Nonlinearity.Linear, 0, "", "no activation known"), Nothing = new(Nonlinearity.Linear, 0, "", "no activation in the run");

    /// <summary>He before the ReLU family, LeCun before SELU, Xavier before S-shaped functions and where nothing is known to follow.</summary>
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
        bool residual = WritesResidual(node);
        if (residual) std *= _residualFactor;
        VarianceScaling.Draw(weight, std, _options.Distribution, _generator);
        return Entry($"{scheme} {Word} ({(next.Name.Length == 0 ? next.How : $"before {next.Name}{next.How}")}{(residual ? ", residual output" : "")})", fan, std);
    }

    private (string, double, double) He(long fanIn, long fanOut, Activation next)
    {
        double fan = _options.Mode switch { FanMode.FanIn => fanIn, FanMode.FanOut => fanOut, _ => (fanIn + fanOut) / 2.0 };
        return ("He", fan, Gain.Of(next.Nonlinearity, next.Slope) / Math.Sqrt(fan));
    }

    /// <summary>What follows a layer: as a rule tells it, as the run showed it, as the order of modules has it, in this order.</summary>
    private Activation Next(ModuleNode node)
    {
        var rule = _options.Rules.FirstOrDefault(r => r.Matches(node.Name, node.Path));
        var next = rule is not null ? new(rule.Nonlinearity, rule.Slope, $"{rule.Nonlinearity} by rule")
            : _seen.TryGetValue(node.Module, out var seen) ? seen ?? Nothing
            : _after.GetValueOrDefault(node.Module);
        _notes.Layer(node.Name, next);
        return next ?? Unknown;
    }

    private string Word => _options.Distribution switch
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
            _notes.Norm(norm);
            neutral = NormByName.NeutralScale(norm.Module, weight);
        }

        if (_lastNorms.Contains(norm.Module)) return Ones(weight, neutral - 1, "zeros (last norm of a residual block)");
        return Ones(weight, neutral, neutral == 1 ? "ones" : "zeros (scales by 1 + weight)");
    }

    private static InitializationEntry Ones(Tensor tensor, double value, string word)
    {
        tensor.fill_(value);
        return Entry(word);
    }

    private static InitializationEntry Zeros(Tensor tensor)
    {
        tensor.fill_(0);
        return Entry("zeros");
    }

    /// <summary>Keeps the row of a padding index, which TorchSharp does not tell: it is the one row of zeros.</summary>
    private InitializationEntry EmbeddingWeight(Tensor weight)
    {
        using var scope = NewDisposeScope();
        var padding = KernelSelection.HasMemory(weight) ? weight.norm(dim: 1).eq(0).nonzero().flatten() : null;
        double? output = _options.EmbeddingStdAsked is null ? _tables.Std(weight.size(1)) : null;
        double std = output ?? _options.EmbeddingStd;
        string scheme = output is null ? "normal" : _tables.Tied(weight) ? "normal (embedding and output layer)" : "normal (as wide as an output table)";
        Normal.Fill(weight, 0, std, _generator);
        if (padding?.NumberOfElements != 1) return Entry(scheme, null, std);
        weight.index_fill_(0, padding, 0);
        return Entry($"{scheme}, padding row zero", null, std);
    }

    /// <summary>Each gate's matrix by itself: Xavier from the input, orthogonal from the state; biases zero, an LSTM's forget gate at its own.</summary>
    private InitializationEntry RecurrentParameter(nn.Module module, string name, Tensor parameter)
    {
        if (parameter.dim() < 2) return RecurrentBias(module, name, parameter);
        var hidden = module.named_parameters(false).First(p => LayerKind.IsRecurrentMatrix(p.name)).parameter.size(1);
        using var scope = NewDisposeScope();
        bool recurrent = LayerKind.IsRecurrentMatrix(name);
        double std = recurrent ? 1 / Math.Sqrt(hidden) : Math.Sqrt(2.0 / (parameter.size(1) + hidden));
        foreach (var gate in parameter.split(hidden))
        {
            if (recurrent) Orthogonal.Fill(gate, 1, _generator);
            else VarianceScaling.Draw(gate, std, _options.Distribution, _generator);
        }

        return recurrent ? Entry("orthogonal per gate", hidden, std) : Entry($"Xavier {Word} per gate", (parameter.size(1) + hidden) / 2.0, std);
    }

    private InitializationEntry RecurrentBias(nn.Module module, string name, Tensor bias)
    {
        bias.fill_(0);
        var matrix = module.named_parameters(false).First(p => LayerKind.IsRecurrentMatrix(p.name)).parameter;
        long hidden = matrix.size(1);
        bool forgets = matrix.size(0) == 4 * hidden && bias.NumberOfElements == 4 * hidden && !name.StartsWith("bias_hh", StringComparison.Ordinal);
        if (!forgets) return Entry("zeros");
        using var gate = bias.narrow(0, hidden, hidden);
        gate.fill_(_options.ForgetBias);
        return Entry($"zeros, forget gate {InitArguments.Cpp(_options.ForgetBias)}");
    }

    /// <summary>As PyTorch's transformer resets itself: Xavier for every matrix, but one for each of query, key and value.</summary>
    private InitializationEntry AttentionParameter(string name, Tensor parameter)
    {
        if (parameter.dim() < 2)
            return name.EndsWith("weight", StringComparison.Ordinal) ? Ones(parameter, 1, "ones") : Zeros(parameter);
        var (fanIn, fanOut) = Fan.Of(parameter);
        if (name.EndsWith("in_proj_weight", StringComparison.Ordinal)) fanOut /= 3;
        double std = Math.Sqrt(2.0 / (fanIn + fanOut));
        VarianceScaling.Draw(parameter, std, _options.Distribution, _generator);
        return Entry($"Xavier {Word} (attention)", (fanIn + fanOut) / 2.0, std);
    }

    private static InitializationEntry Entry(string scheme, double? fan = null, double? std = null) => new("", scheme, fan, std, double.NaN);
}

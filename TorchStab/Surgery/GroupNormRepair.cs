using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchStab.Scalars;
using Host = TorchSharp.Modules;

namespace TorchStab.Surgery;

/// <summary>Finds the GroupNorms of TorchSharp whose weight and bias were never initialized, and sets them to 1 and 0.</summary>
internal sealed class GroupNormRepair(GroupNormWeights mode)
{
    private readonly Dictionary<nn.Module, (bool weight, bool bias)> _resets = new(ReferenceEqualityComparer.Instance);
    private readonly List<(string Path, string Parts)> _reset = [];
    private readonly List<string> _unsure = [];

    /// <summary>Examines a norm before its exchange; returns what it will get, such as “weight set to 1”, or null.</summary>
    public string? Examine(ModuleNode node)
    {
        if (mode == GroupNormWeights.Keep || node.Module is not Host.GroupNorm { affine: true } norm) return null;
        if (norm.weight.device_type == DeviceType.META) return null;
        using var scope = NewDisposeScope();
        bool weight = mode == GroupNormWeights.Reset || IsGarbage(norm.weight);
        bool bias = mode == GroupNormWeights.Reset || (norm.bias is { } b && IsGarbage(b));
        if (weight || bias)
        {
            // If one of both was never initialized, neither was the other, unless it is constant: then it was filled.
            var (one, zero) = (weight || !IsConstant(norm.weight), norm.bias is { } other && (bias || !IsConstant(other)));
            _resets.Add(norm, (one, zero));
            string parts = one && zero ? "weight set to 1 and bias to 0" : one ? "weight set to 1" : "bias set to 0";
            _reset.Add((node.Name, parts));
            return parts;
        }
        if (norm.weight.grad is null && !(Is(norm.weight, 1) && (norm.bias is null || Is(norm.bias, 0)))) _unsure.Add(node.Name);
        return null;
    }

    /// <summary>Writes the values that <see cref="Examine"/> decided on.</summary>
    public void Apply(nn.Module norm)
    {
        if (!_resets.TryGetValue(norm, out var reset)) return;
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        var group = (Host.GroupNorm)norm;
        if (reset.weight) group.weight.fill_(One);
        if (reset.bias) group.bias?.fill_(Zero);
    }

    public IReadOnlyList<string> Warnings =>
    [
        .. _reset.GroupBy(r => r.Parts, r => r.Path).SelectMany(r => Warning([.. r], r.Key + (mode == GroupNormWeights.Reset ? ", as asked"
            : ", because of values that no layer has: TorchSharp leaves those of a new GroupNorm uninitialised"))),
        .. Warning(_unsure, "weights other than 1 or biases other than 0, and no gradient yet: taken over as they are. If the model is neither trained nor "
            + "loaded, nobody has written them (TorchSharp leaves those of a new GroupNorm uninitialised), "
            + "and SwapOptions { GroupNorm = GroupNormWeights.Reset } sets them to 1 and 0"),
    ];

    private static IEnumerable<string> Warning(List<string> paths, string text)
    {
        if (paths.Count > 0) yield return $"{paths[0]}{(paths.Count > 1 ? $" and {paths.Count - 1} more" : "")}  torch.nn.GroupNorm: {text}";
    }

    private static bool IsGarbage(Parameter parameter)
    {
        using var scope = NewDisposeScope();
        var x = parameter.detach().cpu().to(ScalarType.Float64).abs();
        // Not for float16: its denormals are below 6e-5, and layers do have such values.
        double smallest = parameter.dtype switch { ScalarType.Float64 => 2.2250738585072014e-308, ScalarType.Float16 => 0, _ => 1.1754943508222875e-38 };
        return (x.isfinite().logical_not() | x.gt(0).logical_and(x.lt(smallest)) | x.gt(1e10)).any().item<bool>();
    }

    private static bool IsConstant(Parameter parameter)
    {
        using var scope = NewDisposeScope();
        return parameter.numel() == 0 || parameter.detach().eq(parameter.detach()[0]).all().item<bool>();
    }

    private static bool Is(Parameter parameter, double value)
    {
        using var scope = NewDisposeScope();
        return parameter.detach().eq(value).all().item<bool>();
    }
}

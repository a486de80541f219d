using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Reparametrization;

/// <summary>Reads state dicts of PyTorch's older weight_norm and spectral_norm, whose tensors are in the layer itself (<c>weight_g</c>).</summary>
internal static class OlderKeys
{
    /// <summary>The same tensors; an older key of a parametrization that the model has is replaced by the present key.</summary>
    public static Dictionary<string, Tensor> Renamed(nn.Module model, Dictionary<string, Tensor> state_dict)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(state_dict);
        var renamed = new Dictionary<string, Tensor>(state_dict);
        foreach (var (path, module) in model.named_modules().Prepend(("", model)))
        {
            if (module is not IParametrized parametrized) continue;
            string prefix = path.Length == 0 ? "" : $"{path}.";
            foreach (var (name, parametrization) in parametrized.Parametrizations)
                foreach (var (suffix, key) in parametrization.OlderKeys)
                    if (renamed.Remove($"{prefix}{name}{suffix}", out var tensor)) renamed.TryAdd($"{prefix}{ParametrizationTable.Key}.{name}.{key}", tensor);
        }
        return renamed;
    }
}

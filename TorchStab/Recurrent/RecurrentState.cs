using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Recurrent;

/// <summary>Loading that compares every key and shape before anything is written.</summary>
internal static class RecurrentState
{
    public static (IList<string> missing_keys, IList<string> unexpected_keyes) Load(
        nn.Module module, Dictionary<string, Tensor> source, bool strict, IList<string>? skip)
    {
        ArgumentNullException.ThrowIfNull(source);
        return new StateLoad(module.GetName(), module.state_dict(), source, skip).Run(strict);
    }

    public static nn.Module Load(nn.Module module, BinaryReader reader, bool strict, IList<string>? skip, Dictionary<string, bool>? loadedParameters)
    {
        ArgumentNullException.ThrowIfNull(reader);
        using var scope = NewDisposeScope();
        var own = module.state_dict();
        var source = StateLoad.ReadEntries(reader);
        new StateLoad(module.GetName(), own, source, skip).Run(strict);
        if (loadedParameters is not null)
            foreach (string key in source.Keys) loadedParameters[key] = own.ContainsKey(key);
        return module;
    }
}

using TorchSharp.Modules;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Diagnostics;

/// <summary>
/// The trainable parameters of one module, without its children's: their names differ in the last part only. A shared parameter belongs to the first
/// module.
/// </summary>
/// <param name="Name">The module's name in the model; for the model itself the name of its type.</param>
/// <param name="Kind">The type of the module, or of the nearest one around it: libtorch's own modules have parameters of layers, but no children.</param>
/// <param name="Parameters">The parameters by the last part of their names.</param>
internal sealed record TrainableLayer(string Name, string Kind, List<(string Name, Parameter Parameter)> Parameters)
{
    /// <summary>The layers in the order of the module tree. Not cached, because <c>.to()</c>, swapping and folding replace modules and parameters.</summary>
    public static List<TrainableLayer> Of(nn.Module model)
    {
        var kinds = ModuleTree.Nodes(model).DistinctBy(n => n.Name).ToDictionary(n => n.Name, n => n.Module.GetType().Name);
        var layers = new List<TrainableLayer>();
        string? path = null;
        foreach (var (name, parameter) in model.named_parameters().DistinctBy(p => ParameterIdentity.OfLeaf(p.parameter)))
        {
            if (!parameter.requires_grad) continue;
            int dot = EndOfLayer(name);
            if (path is null || !name.AsSpan(0, Math.Max(0, dot)).SequenceEqual(path))
            {
                path = name[..Math.Max(0, dot)];
                layers.Add(new(path.Length == 0 ? kinds[""] : path, KindOf(path, kinds), []));
            }
            layers[^1].Parameters.Add((name[(dot + 1)..], parameter));
        }
        return layers;
    }

    public static string NameOf(ModuleNode node) => node.Name.Length == 0 ? node.Module.GetType().Name : node.Name;

    // A weight that is computed belongs to the layer that computes it.
    private static int EndOfLayer(string name)
    {
        const string computed = TorchStab.Modules.ParametrizationTable.Key;
        if (name.StartsWith($"{computed}.", StringComparison.Ordinal)) return -1;
        return name.IndexOf($".{computed}.", StringComparison.Ordinal) is >= 0 and var end ? end : name.LastIndexOf('.');
    }

    private static string KindOf(string path, Dictionary<string, string> kinds)
    {
        string? kind;
        while (!kinds.TryGetValue(path, out kind)) path = path[..Math.Max(0, path.LastIndexOf('.'))];
        return kind;
    }
}

using TorchSharp.Modules;
using TorchStab.Initialization;
using static TorchSharp.torch;

namespace TorchStab.Diagnostics;

/// <summary>A module and those of its own parameters that train; one that several modules share belongs to the first.</summary>
internal sealed record TrainableLayer(string Name, nn.Module Module, IReadOnlyList<(string Name, Parameter Parameter)> Parameters)
{
    /// <summary>In the order of the module tree. Read anew each time: <c>.to()</c>, swapping and folding exchange modules and parameters.</summary>
    public static List<TrainableLayer> Of(nn.Module model)
    {
        var seen = new HashSet<IntPtr>();
        var layers = new List<TrainableLayer>();
        foreach (var node in ModuleTree.Nodes(model))
        {
            var own = node.Module.named_parameters(false).Where(p => p.parameter.requires_grad && seen.Add(p.parameter.Handle)).ToList();
            if (own.Count > 0) layers.Add(new(NameOf(node), node.Module, own));
        }
        return layers;
    }

    public static string NameOf(ModuleNode node) => node.Name.Length == 0 ? node.Module.GetType().Name : node.Name;
}

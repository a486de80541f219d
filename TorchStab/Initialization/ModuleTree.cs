using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>A module, its name in the model, and the modules from the root down to it.</summary>
internal sealed record ModuleNode(string Name, IReadOnlyList<nn.Module> Path)
{
    public nn.Module Module => Path[^1];

    public string NameOf(string parameter) => Name.Length == 0 ? parameter : $"{Name}.{parameter}";
}

internal static class ModuleTree
{
    /// <summary>Every module once, the root first (which <c>named_modules</c> leaves out), each before its children.</summary>
    public static List<ModuleNode> Nodes(nn.Module model)
    {
        var seen = new HashSet<nn.Module>(ReferenceEqualityComparer.Instance);
        var nodes = new List<ModuleNode>();
        Visit(new ModuleNode("", [model]), seen, nodes);
        return nodes;
    }

    /// <summary>Runs a model in evaluation mode; afterwards every module is in its own again.</summary>
    public static void InEvaluation(List<ModuleNode> nodes, Action run)
    {
        var modes = nodes.ConvertAll(n => n.Module.training);
        try
        {
            nodes[0].Module.eval();
            run();
        }
        finally
        {
            // Parents first: train() takes the children along, whose own mode then follows.
            for (int i = 0; i < nodes.Count; i++) nodes[i].Module.train(modes[i]);
        }
    }

    private static void Visit(ModuleNode node, HashSet<nn.Module> seen, List<ModuleNode> nodes)
    {
        if (!seen.Add(node.Module)) return;
        nodes.Add(node);
        foreach (var (name, child) in node.Module.named_children()) Visit(new ModuleNode(node.NameOf(name), [.. node.Path, child]), seen, nodes);
    }
}

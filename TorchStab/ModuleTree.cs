using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab;

/// <summary>A registered module of a model.</summary>
/// <param name="Name">Its name, as in <c>named_modules()</c>; the root's is empty.</param>
/// <param name="Path">The modules from the root down to it.</param>
internal sealed record ModuleNode(string Name, IReadOnlyList<nn.Module> Path)
{
    public nn.Module Module => Path[^1];

    /// <summary>The module that holds it; null for the root.</summary>
    public nn.Module? Parent => Path.Count > 1 ? Path[^2] : null;

    /// <summary>The name in the model of one of its parameters or children.</summary>
    public string NameOf(string member) => Name.Length == 0 ? member : $"{Name}.{member}";

    public ModuleNode Child(string name, nn.Module child) => new(NameOf(name), [.. Path, child]);
}

/// <summary>Walks the registered modules of a model.</summary>
internal static class ModuleTree
{
    /// <summary>Every module once, under its first name: the root first (which <c>named_modules</c> omits), each before its children.</summary>
    /// <param name="model">The root.</param>
    /// <param name="check">Called for each module before its children are read; may refuse it. Null: no check.</param>
    public static List<ModuleNode> Nodes(nn.Module model, Action<ModuleNode>? check = null)
    {
        var seen = new HashSet<nn.Module>(ReferenceEqualityComparer.Instance);
        var nodes = new List<ModuleNode>();
        Visit(new ModuleNode("", [model]), seen, nodes, check);
        return nodes;
    }

    /// <summary>Refuses to run what has no values: a model or an input on the meta device.</summary>
    public static void RequireValues(nn.Module model, Tensor? input, string inputName, string argument, string wayOut)
    {
        string? what = input is not null && !KernelSelection.HasMemory(input) ? inputName
            : model.parameters().Concat(model.buffers()).Any(t => !KernelSelection.HasMemory(t)) ? "the model" : null;
        if (what is not null) throw new ArgumentException($"expected values to run the model with, but {what} is on the meta device, which holds none; "
            + $"{wayOut}", argument);
    }

    /// <summary>Runs a model in evaluation mode, and restores the mode of every module afterwards.</summary>
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
            // Parents first: train() changes the children too, whose own modes are restored afterwards.
            for (int i = 0; i < nodes.Count; i++) nodes[i].Module.train(modes[i]);
        }
    }

    private static void Visit(ModuleNode node, HashSet<nn.Module> seen, List<ModuleNode> nodes, Action<ModuleNode>? check)
    {
        if (!seen.Add(node.Module)) return;
        check?.Invoke(node);
        nodes.Add(node);
        foreach (var (name, child) in node.Module.named_children()) Visit(node.Child(name, child), seen, nodes, check);
    }
}

using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>A module where the tree has it; the root's path and name are empty, and it has no parent.</summary>
internal sealed record SurgeryNode(string Path, string Name, nn.Module Module, nn.Module? Parent);

/// <summary>The registered modules of a model, each once, root first, under its first path.</summary>
internal static class SurgeryTree
{
    /// <summary>Walks the model and refuses what surgery can't be done on; nothing is changed.</summary>
    /// <exception cref="InvalidOperationException">A module is disposed or a script module, or two children have one name.</exception>
    public static List<SurgeryNode> Of(nn.Module model)
    {
        ArgumentNullException.ThrowIfNull(model);
        List<SurgeryNode> nodes = [];
        Visit(new SurgeryNode("", "", model, null), nodes, new HashSet<nn.Module>(ReferenceEqualityComparer.Instance));
        return nodes;
    }

    private static void Visit(SurgeryNode node, List<SurgeryNode> nodes, HashSet<nn.Module> seen)
    {
        if (!seen.Add(node.Module)) return;
        RequireAlive(node.Module, node.Path);
        if (node.Module is jit.ScriptModule)
            throw new InvalidOperationException(
                $"{Quoted(node.Path)} is a script module: its layers are compiled code that can't be exchanged. Change the model it was exported from.");
        nodes.Add(node);
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (name, child) in node.Module.named_children())
        {
            string path = node.Path.Length == 0 ? name : $"{node.Path}.{name}";
            if (!names.Add(name))
                throw new InvalidOperationException(
                    $"two children of {Quoted(node.Path)} have the name '{name}': their state-dict keys collide. Give each its own name.");
            Visit(new SurgeryNode(path, name, child, node.Module), nodes, seen);
        }
    }

    /// <summary>Refuses a disposed module, and one whose own parameters are disposed.</summary>
    public static void RequireAlive(nn.Module module, string path)
    {
        if (!IsAlive(module))
            throw new ObjectDisposedException(module.GetType().Name, $"{Quoted(path)} ({module.GetType().Name}) has been disposed; build the model anew.");
    }

    private static bool IsAlive(nn.Module module)
    {
        try
        {
            _ = module.training;
        }
        catch (ObjectDisposedException)
        {
            return false;
        }
        return TorchSharpInternals.OwnTensors(module).All(t => !t.IsInvalid);
    }

    private static string Quoted(string path) => path.Length == 0 ? "the module" : $"'{path}'";
}

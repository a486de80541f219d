using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>Walks a model and refuses models that surgery cannot change. Writes nothing.</summary>
internal static class SurgeryCheck
{
    /// <summary>The modules of a model, each once, the root first.</summary>
    /// <exception cref="InvalidOperationException">A module is disposed or a script module, or two children have the same name.</exception>
    public static List<ModuleNode> Nodes(nn.Module model)
    {
        ArgumentNullException.ThrowIfNull(model);
        return ModuleTree.Nodes(model, Require);
    }

    /// <summary>Refuses a disposed module, and a module with a disposed parameter of its own.</summary>
    public static void RequireAlive(nn.Module module, string path)
    {
        if (!IsAlive(module))
            throw new ObjectDisposedException(module.GetType().Name, $"{Quoted(path)} ({module.GetType().Name}) has been disposed; build the model anew.");
    }

    private static void Require(ModuleNode node)
    {
        RequireAlive(node.Module, node.Name);
        if (node.Module is jit.ScriptModule)
            throw new InvalidOperationException(
                $"{Quoted(node.Name)} is a script module: its layers are compiled code that can't be exchanged. Change the model it was exported from.");
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (name, _) in node.Module.named_children())
            if (!names.Add(name))
                throw new InvalidOperationException(
                    $"two children of {Quoted(node.Name)} have the name '{name}': their state-dict keys collide. Give each its own name.");
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

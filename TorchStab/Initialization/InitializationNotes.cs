namespace TorchStab.Initialization;

/// <summary>What a report says beside its entries: guesses, what was not known, what could not be reached, and how to tell it otherwise.</summary>
/// <param name="ran">Whether the model was run.</param>
internal sealed class InitializationNotes(bool ran)
{
    private readonly string _wayOut = ran
        ? "the run did not show it, for what a model runs by forward() fires no hook: run it by call(), or tell it by Rules"
        : "InitializationOptions.Example shows it in a run, Rules tell it";

    private readonly List<string> _guessed = [], _unknown = [];
    private readonly Dictionary<string, string> _norms = [];
    private bool _known;

    /// <summary>A linear layer or convolution, and what was taken to follow it; null where nothing is known.</summary>
    public void Layer(string name, Activation? next)
    {
        if (next is null) _unknown.Add(name);
        else if (next.How == Activation.ByOrder) _guessed.Add(name);
        _known |= next is not null;
    }

    /// <summary>A norm that its name and the shapes of its parameters tell.</summary>
    public void Norm(ModuleNode norm) => _norms.TryAdd(norm.Module.GetType().Name, norm.Name.Length == 0 ? norm.Module.GetType().Name : norm.Name);

    public List<string> Of(IReadOnlyList<ModuleNode> nodes, OutputTables tables)
    {
        List<string> notes = [.. tables.Notes];
        if (_guessed.Count > 0) notes.Add($"what follows {Some(_guessed)} is guessed from the order of registration: {_wayOut}");
        if (!_known && _unknown.Count > 1) notes.Add($"no activation is known in this model, so that {Some(_unknown)} took Xavier: {_wayOut}");
        foreach (var (type, first) in _norms)
            notes.Add($"{type} ({first}) is taken for a normalization, by its name and the shapes of its parameters");
        notes.AddRange(UnregisteredModules.Of(nodes).Select(m => m.ToString()));
        return notes;
    }

    private static string Some(List<string> names) => names.Count <= 3 ? string.Join(", ", names)
        : $"{string.Join(", ", names.Take(2))} and {names.Count - 2} more layers";
}

namespace TorchStab.Initialization;

/// <summary>Collects the notes of a report: guesses, layers about which nothing is known, unregistered modules, and what the user can do about them.</summary>
/// <param name="ran">Whether the model was run on an example.</param>
internal sealed class InitializationNotes(bool ran)
{
    private readonly string _wayOut = ran
        ? "the run did not show it, because forward() runs no hooks: run the layers by call(), or state it by Rules"
        : "InitializationOptions.Example shows it in a run, or state it by Rules";

    private readonly List<string> _guessed = [], _unknown = [];
    private readonly Dictionary<string, string> _norms = [];
    private bool _known;

    /// <summary>Notes the function that was assumed after a linear layer or convolution; null if nothing is known.</summary>
    public void AddLayer(string name, Activation? next)
    {
        if (next is null) _unknown.Add(name);
        else if (next.How == Activation.ByOrder) _guessed.Add(name);
        _known |= next is not null;
    }

    /// <summary>Notes a norm that was recognized by its name and the shapes of its parameters.</summary>
    public void AddNorm(ModuleNode norm) => _norms.TryAdd(norm.Module.GetType().Name, norm.Name.Length == 0 ? norm.Module.GetType().Name : norm.Name);

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

using TorchSharp;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>
/// One loading of a state dict: everything is compared first, in PyTorch's words, and only then copied. TorchSharp's own would
/// broadcast a wrong shape silently and stop half-way through.
/// </summary>
internal sealed class StateLoad
{
    private readonly string _module;
    private readonly Dictionary<string, Tensor> _own;
    private readonly Dictionary<string, Tensor> _source;
    private readonly string? _defaulted;
    private readonly List<string> _missing;
    private readonly List<string> _unexpected;
    private readonly List<string> _shared;

    /// <param name="module">Class name, for messages.</param>
    /// <param name="own">The tensors to write.</param>
    /// <param name="source">The tensors to read.</param>
    /// <param name="skip">Keys to leave alone.</param>
    /// <param name="defaulted">A key that may be missing and is then set to 0.</param>
    public StateLoad(string module, Dictionary<string, Tensor> own, Dictionary<string, Tensor> source, IList<string>? skip, string? defaulted = null)
    {
        skip ??= [];
        (_module, _own, _source) = (module, own, source);
        _defaulted = defaulted is not null && own.ContainsKey(defaulted) && !source.ContainsKey(defaulted) && !skip.Contains(defaulted) ? defaulted : null;
        _missing = [.. own.Keys.Where(k => !source.ContainsKey(k) && !skip.Contains(k) && k != _defaulted)];
        _unexpected = [.. source.Keys.Where(k => !own.ContainsKey(k) && !skip.Contains(k))];
        _shared = [.. own.Keys.Where(k => source.ContainsKey(k) && !skip.Contains(k))];
    }

    /// <summary>Checks, then copies; a wrong shape is an error even where <paramref name="strict"/> is off, as in PyTorch.</summary>
    public (IList<string> missing, IList<string> unexpected) Run(bool strict)
    {
        List<string> errors = [];
        if (strict && _missing.Count > 0) errors.Add($"Missing key(s) in state_dict: {Quoted(_missing)}. ");
        if (strict && _unexpected.Count > 0) errors.Add($"Unexpected key(s) in state_dict: {Quoted(_unexpected)}. ");
        errors.AddRange(_shared.Where(k => !_own[k].shape.SequenceEqual(_source[k].shape)).Select(k =>
            $"size mismatch for {k}: copying a param with shape {Repr.Size(_source[k])} from checkpoint, the shape in current model is {Repr.Size(_own[k])}."));
        if (errors.Count > 0) throw new InvalidOperationException($"Error(s) in loading state_dict for {_module}:\n\t{string.Join("\n\t", errors)}");

        using var scope = NewDisposeScope();
        using var _ = no_grad();
        foreach (string key in _shared) _own[key].copy_(_source[key]);
        if (_defaulted is not null) _own[_defaulted].fill_(0); // TorchSharp's zero_() would hand out a second handle
        return (_missing, _unexpected);
    }

    /// <summary>The entries of a file in TorchSharp's format, as new tensors in the current DisposeScope.</summary>
    public static Dictionary<string, Tensor> ReadEntries(BinaryReader reader)
    {
        Dictionary<string, Tensor> entries = [];
        for (long left = reader.Read7BitEncodedInt64(); left > 0; left--) entries[reader.ReadString()] = TensorExtensionMethods.Load(reader);
        return entries;
    }

    private static string Quoted(List<string> keys) => string.Join(", ", keys.Select(k => $"\"{k}\""));
}

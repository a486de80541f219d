using System.Runtime.InteropServices;
using TorchSharp;
using TorchStab.Dispatch;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Normalization;

/// <summary>
/// Loads a state dict: first checks everything, with PyTorch's messages, and only then copies. TorchSharp's loader
/// broadcasts a wrong shape silently, can stop half-way, and can end the process on a corrupted file.
/// </summary>
internal sealed class StateLoad
{
    private readonly string _module;
    private readonly Dictionary<string, Tensor> _own;
    private readonly Dictionary<string, Tensor> _source;
    private readonly string? _count, _defaulted;
    private readonly List<string> _missing;
    private readonly List<string> _unexpected;
    private readonly List<string> _shared;

    /// <param name="module">The class name, for messages.</param>
    /// <param name="own">The tensors to write.</param>
    /// <param name="source">The tensors to read.</param>
    /// <param name="skip">Keys that are not loaded.</param>
    /// <param name="count">The key of a counter, which may be missing; the counter is then set to 0.</param>
    public StateLoad(string module, Dictionary<string, Tensor> own, Dictionary<string, Tensor> source, IList<string>? skip, string? count = null)
    {
        ArgumentNullException.ThrowIfNull(source);
        if (source.FirstOrDefault(s => s.Value is null || s.Value.IsInvalid) is { Key: { } key })
            throw new ArgumentException($"{key} is null or disposed", nameof(source));
        skip ??= [];
        (_module, _own, _source, _count) = (module, own, source, count);
        _defaulted = count is not null && own.ContainsKey(count) && !source.ContainsKey(count) && !skip.Contains(count) ? count : null;
        _missing = [.. own.Keys.Where(k => !source.ContainsKey(k) && !skip.Contains(k) && k != _defaulted)];
        _unexpected = [.. source.Keys.Where(k => !own.ContainsKey(k) && !skip.Contains(k))];
        _shared = [.. own.Keys.Where(k => source.ContainsKey(k) && !skip.Contains(k))];
    }

    /// <summary>Checks, then copies. A wrong shape is an error even if <paramref name="strict"/> is false, as in PyTorch.</summary>
    public (IList<string> missing, IList<string> unexpected) Run(bool strict)
    {
        List<string> errors = [];
        if (strict && _missing.Count > 0) errors.Add($"Missing key(s) in state_dict: {Quoted(_missing)}. ");
        if (strict && _unexpected.Count > 0) errors.Add($"Unexpected key(s) in state_dict: {Quoted(_unexpected)}. ");
        errors.AddRange(_shared.Where(k => !_own[k].shape.SequenceEqual(_source[k].shape)).Select(k =>
            $"size mismatch for {k}: copying a param with shape {Repr.Size(_source[k])} from checkpoint, the shape in current model is {Repr.Size(_own[k])}."));
        if (errors.Count > 0) throw new InvalidOperationException($"Error(s) in loading state_dict for {_module}:\n\t{string.Join("\n\t", errors)}");

        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        // A tensor that cannot be copied (on the meta device, disposed, sparse) throws here, before the first value is written.
        var values = _shared.ConvertAll(k => (Own: _own[k], Value: Converted(k)));
        foreach (string key in _shared) Writable.Require(_own[key], key);
        if (_defaulted is not null) Writable.Require(_own[_defaulted], _defaulted);
        foreach (var (own, value) in values) own.copy_(value);
        if (_defaulted is not null) _own[_defaulted].fill_(Zero); // TorchSharp's zero_() would create a second handle
        return (_missing, _unexpected);
    }

    /// <summary>Reads a file in TorchSharp's format and copies it to a module. If one entry does not fit, nothing is written.</summary>
    /// <param name="module">The module to write to.</param>
    /// <param name="reader">The stream, at the number of entries.</param>
    /// <param name="strict">Whether missing and unexpected keys are errors.</param>
    /// <param name="skip">Keys that are not loaded.</param>
    /// <param name="loaded">Receives every key of the file and whether the module has it.</param>
    /// <param name="count">The key of a counter, which may be missing; the counter is then set to 0.</param>
    public static nn.Module Read(nn.Module module, BinaryReader reader, bool strict, IList<string>? skip, Dictionary<string, bool>? loaded,
        string? count = null)
    {
        ArgumentNullException.ThrowIfNull(reader);
        using var scope = NewDisposeScope();
        var own = module.state_dict();
        var source = ReadEntries(reader, own, skip ?? []);
        new StateLoad(module.GetName(), own, source, skip, count).Run(strict);
        if (loaded is not null)
            foreach (string key in source.Keys) loaded[key] = own.ContainsKey(key);
        return module;
    }

    // Reads only the entries that fit; of the others only the shape is needed, for messages.
    private static Dictionary<string, Tensor> ReadEntries(BinaryReader reader, Dictionary<string, Tensor> own, IList<string> skip)
    {
        Dictionary<string, Tensor> entries = [];
        for (long left = TensorFile.ReadNumber(reader); left > 0; left--)
        {
            string key = TensorFile.ReadName(reader);
            var header = TensorFile.ReadHeader(reader, key);
            if (entries.ContainsKey(key)) throw TensorFile.Corrupted($"it holds {key} twice");
            bool wanted = own.TryGetValue(key, out var target) && !skip.Contains(key) && target.shape.SequenceEqual(header.Shape);
            if (wanted && target!.is_floating_point() && !TensorFile.IsFloating(header.Dtype))
                throw TensorFile.Corrupted($"{key} holds {header.Dtype}, expected {target.dtype}");
            if (!wanted) TensorFile.SkipElements(reader, header);
            entries[key] = wanted ? TensorFile.ReadElements(reader, header) : empty(header.Shape, ScalarType.Byte, META);
        }
        return entries;
    }

    /// <summary>A new tensor with the source's values, in the dtype and on the device of the target.</summary>
    private Tensor Converted(string key)
    {
        var (own, source) = (_own[key], _source[key]);
        if (source.is_complex() && !own.is_complex()) throw new InvalidOperationException($"{key}: expected real values, got {source.dtype}");
        if (key == _count && own.device_type != DeviceType.META) RequireCount(key, source);
        try
        {
            return empty_like(own).copy_(source);
        }
        catch (ExternalException refusal)
        {
            throw new InvalidOperationException($"{key}: expected values that can be copied to a tensor on {own.device}: "
                + $"{AutogradLibrary.WithoutTrace(refusal.Message)}", refusal);
        }
    }

    // TorchSharp's norms store this counter as a float.
    private static void RequireCount(string key, Tensor source)
    {
        if (source.is_sparse || source.device_type == DeviceType.META)
            throw new InvalidOperationException($"{key}: expected a whole number, got a tensor without elements of its own");
        double count = ReadNumber(source);
        if (!(count is >= 0 and < long.MaxValue && count == Math.Floor(count)))
            throw new InvalidOperationException($"{key}: expected a whole number of at least 0, got {Repr.Of(count)}");
    }

    private static string Quoted(List<string> keys) => string.Join(", ", keys.Select(k => $"\"{k}\""));
}

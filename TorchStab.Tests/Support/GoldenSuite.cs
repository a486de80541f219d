using System.Collections.Concurrent;
using System.Text.Json;
using static TorchSharp.torch;

namespace TorchStab.Tests.Support;

/// <summary>
/// One suite of reference vectors computed by PyTorch (format: Golden/README.md): the JSON says what each tensor means,
/// the .pt file is a TorchScript module whose buffers are the tensors.
/// </summary>
internal sealed class GoldenSuite
{
    private static readonly ConcurrentDictionary<string, GoldenSuite> Loaded = new();
    private readonly Dictionary<string, Tensor> _buffers;

    private GoldenSuite(string name)
    {
        string path = Path.Combine(AppContext.BaseDirectory, "Golden", name);
        using var text = File.OpenRead(path + ".json");
        Root = JsonDocument.Parse(text).RootElement.Clone();
        using var scope = NewDisposeScope();
        _buffers = jit.load(path + ".pt").named_buffers().ToDictionary(b => b.name, b => b.buffer.DetachFromDisposeScope());
        Cases = [.. Root.GetProperty("cases").EnumerateArray().Select(c => new GoldenCase(this, c))];
    }

    /// <summary>The whole JSON document: <c>formulas</c>, <c>roles</c> and the rest.</summary>
    public JsonElement Root { get; }

    public IReadOnlyList<GoldenCase> Cases { get; }

    public static GoldenSuite Load(string name) => Loaded.GetOrAdd(name, n => new GoldenSuite(n));

    /// <summary>A shared tensor: never change it in place.</summary>
    public Tensor Buffer(string name) =>
        _buffers.TryGetValue(name, out var t) ? t : throw new KeyNotFoundException($"the suite has no buffer '{name}'");

    public GoldenCase this[string id] => Cases.Single(c => c.Id == id);

    /// <summary>Case ids for <c>[MemberData]</c>, each with its op and tag so that a failure names them.</summary>
    public static TheoryData<string> Ids(string suite, Func<GoldenCase, bool>? where = null)
    {
        var data = new TheoryData<string>();
        foreach (var c in Load(suite).Cases.Where(where ?? (_ => true))) data.Add($"{c.Id} {c.Op} {c.Tag}");
        return data;
    }

    /// <summary>The case that <see cref="Ids"/> named.</summary>
    public static GoldenCase Find(string suite, string label) => Load(suite)[label.Split(' ')[0]];
}

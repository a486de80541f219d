using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Normalization;

/// <summary>PyTorch's state dicts of norm modules: keys in order, values when new and after three steps, defaults, loading failures.</summary>
public class GoldenNormStateTests
{
    private const string Suite = "module_state";

    public static TheoryData<string> StateCases => GoldenSuite.Ids(Suite, c => GoldenModules.IsChannelNorm(c.Op));

    public static TheoryData<string> LoadCases => GoldenSuite.Ids(Suite, c => c.Op == "load_state_dict");

    [Theory]
    [MemberData(nameof(StateCases))]
    public void A_module_has_PyTorchs_state_and_trains_to_the_same_values(string label)
    {
        using var scope = NewDisposeScope();
        var c = GoldenSuite.Find(Suite, label);
        using var module = GoldenModules.Create(c);
        var state = module.state_dict();
        Assert.Equal(Keys(c), state.Select(e => Key(e.Key, e.Value)));
        Assert.Equal(Names(c, "parameters"), module.named_parameters().Select(p => p.name));
        Assert.Equal(Names(c, "buffers"), module.named_buffers().Select(b => b.name));
        Assert.Equal(c.Json.GetProperty("repr").GetString(), module.ToString());
        Assert.Equal(c.Op, module.GetName());
        foreach (var (key, value) in state) c.Check("init__" + key, value);
        Train(module, c);
    }

    [Fact]
    public void A_nested_model_has_PyTorchs_keys_and_trains_to_the_same_values()
    {
        using var scope = NewDisposeScope();
        var c = GoldenSuite.Load(Suite).Cases.Single(c => c.Op == "Sequential");
        var dtype = c.Dtype;
        using var model = nn.Sequential(
            nn.Conv2d(2, 4, 3, bias: false, dtype: dtype),
            stab.nn.BatchNorm2d(4, momentum: null, dtype: dtype),
            nn.ReLU(),
            stab.nn.GroupNorm(2, 4, dtype: dtype),
            nn.Sequential(stab.nn.InstanceNorm2d(4, affine: true, track_running_stats: true, dtype: dtype), stab.nn.LayerNorm([3, 3], dtype: dtype)));
        // TorchSharp's Sequential lists all parameters before all buffers.
        Assert.Equal(Keys(c).Order(), model.state_dict().Select(e => Key(e.Key, e.Value)).Order());
        Assert.Equal(Names(c, "parameters"), model.named_parameters().Select(p => p.name));
        Assert.Equal(Names(c, "buffers"), model.named_buffers().Select(b => b.name));
        using (no_grad())
            foreach (var (key, value) in model.state_dict()) value.copy_(c["init__" + key.Replace(".", "__", StringComparison.Ordinal)]);
        Train(model, c);
    }

    [Fact]
    public void Constructors_have_PyTorchs_defaults()
    {
        var p = GoldenSuite.Load(Suite).Cases.Single(c => c.Op == "defaults").Params;
        using var batch = stab.nn.BatchNorm2d(3);
        using var instance = stab.nn.InstanceNorm2d(3);
        foreach (var (name, module) in new (string, NormBase)[] { ("BatchNorm", batch), ("InstanceNorm", instance) })
        {
            Assert.Equal(p.GetProperty(name).GetProperty("eps").GetDouble(), module.eps);
            Assert.Equal(p.GetProperty(name).GetProperty("momentum").GetDouble(), module.momentum);
            Assert.Equal(p.GetProperty(name).GetProperty("affine").GetBoolean(), module.affine);
            Assert.Equal(p.GetProperty(name).GetProperty("track_running_stats").GetBoolean(), module.track_running_stats);
        }
        using var layer = stab.nn.LayerNorm(3);
        using var group = stab.nn.GroupNorm(1, 3);
        Assert.Contains($"eps={Python(p.GetProperty("LayerNorm").GetProperty("eps").GetDouble())}, elementwise_affine=True", layer.ToString());
        Assert.Contains($"eps={Python(p.GetProperty("GroupNorm").GetProperty("eps").GetDouble())}, affine=True", group.ToString());
    }

    [Theory]
    [MemberData(nameof(LoadCases))]
    public void Loading_follows_PyTorch(string label)
    {
        using var scope = NewDisposeScope();
        var c = GoldenSuite.Find(Suite, label);
        using var module = stab.nn.BatchNorm1d(3);
        module.num_batches_tracked!.fill_(7);
        var source = c.Roles.Where(r => r.StartsWith("state__", StringComparison.Ordinal)).ToDictionary(r => r["state__".Length..], r => c[r]);
        var before = module.state_dict().ToDictionary(e => e.Key, e => e.Value.clone());
        if (!c.ExpectsError)
        {
            var (missing, unexpected) = module.load_state_dict(source);
            Assert.Empty(missing);
            Assert.Empty(unexpected);
            foreach (var (key, value) in source) Compare.Identical(value, module.state_dict()[key], key);
            c.Check("final__num_batches_tracked", module.num_batches_tracked!);
            return;
        }
        var e = Assert.Throws<InvalidOperationException>(() => module.load_state_dict(source));
        Assert.StartsWith(c.ErrorMessage, e.Message, StringComparison.Ordinal);
        Assert.Contains(c.Params.GetProperty("fault").GetString() switch
        {
            "missing_running_var" => "Missing key(s) in state_dict: \"running_var\". ",
            "unexpected_key" => "Unexpected key(s) in state_dict: \"extra\". ",
            _ => "size mismatch for weight: copying a param with shape torch.Size([4]) from checkpoint, the shape in current model is torch.Size([3]).",
        }, e.Message, StringComparison.Ordinal);
        foreach (var (key, value) in before) Compare.Identical(value, module.state_dict()[key], key);
    }

    /// <summary>Three steps of training with the stored gradients, checked at the end.</summary>
    private static void Train(nn.Module<Tensor, Tensor> module, GoldenCase c)
    {
        Tensor? output = null;
        for (int step = 1; step <= 3; step++)
        {
            module.zero_grad();
            output = module.call(c[$"s{step}_input"]);
            if (!module.parameters().Any()) continue;
            output.backward([c[$"s{step}_grad_output"]]);
            using var _ = no_grad();
            foreach (var parameter in module.parameters()) parameter.sub_(c.Json.GetProperty("lr").GetDouble() * parameter.grad!);
        }
        c.Check("s3_output", output);
        foreach (var (key, value) in module.state_dict()) c.Check("final__" + key.Replace(".", "__", StringComparison.Ordinal), value);
    }

    private static IEnumerable<string> Keys(GoldenCase c) => c.Json.GetProperty("state_keys").EnumerateArray().Select(e =>
        $"{e[0].GetString()} [{string.Join(", ", e[1].EnumerateArray().Select(d => d.GetInt64()))}] {GoldenCase.ToScalarType(e[2].GetString()!)}");

    private static string Key(string name, Tensor value) => $"{name} [{string.Join(", ", value.shape)}] {value.dtype}";

    private static IEnumerable<string?> Names(GoldenCase c, string property) => c.Json.GetProperty(property).EnumerateArray().Select(e => e.GetString());

    private static string Python(double value) => Repr.Of(value);
}

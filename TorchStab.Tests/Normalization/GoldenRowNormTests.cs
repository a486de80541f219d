using System.Text.Json;
using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Normalization;

/// <summary>PyTorch's reference vectors for layer_norm, group_norm and rms_norm: functions, modules, state and errors.</summary>
public class GoldenRowNormTests : InOneForm
{
    public GoldenRowNormTests() : base(null) { }

    private protected GoldenRowNormTests(KernelForm form) : base(form) { }

    private const string Layer = "norm_forward_backward.layer_norm", Group = "norm_forward_backward.group_norm", Rms = "norm_forward_backward.rms_norm",
        OpInfo = "norm_pytorch_opinfo", ModuleTests = "norm_pytorch_module_tests", State = "module_state";

    private static readonly string[] Suites = [Layer, Group, Rms, OpInfo, ModuleTests, State];
    private static readonly string[] Functions = ["layer_norm", "group_norm", "rms_norm"];
    private static readonly string[] Classes = ["LayerNorm", "GroupNorm"];

    public static TheoryData<string, string> FunctionCases => Cases(c => Functions.Contains(c.Op) && !c.ExpectsError);

    public static TheoryData<string, string> ModuleCases => Cases(c => Classes.Contains(c.Op) && c.Json.TryGetProperty("events", out _));

    public static TheoryData<string, string> StateCases => Cases(c => Classes.Contains(c.Op) && c.Json.TryGetProperty("state_keys", out _));

    public static TheoryData<string, string> ErrorCases => Cases(c => (Functions.Contains(c.Op) || Classes.Contains(c.Op)) && c.ExpectsError);

    [Theory]
    [MemberData(nameof(FunctionCases))]
    public void A_function_gives_output_and_gradients(string suite, string label)
    {
        using var scope = NewDisposeScope();
        var c = GoldenSuite.Find(suite, label);
        Tensor? Leaf(string role) => c.Optional(role)?.detach().requires_grad_(true);
        Tensor input = Leaf("input")!;
        Tensor? weight = Leaf("weight"), bias = Leaf("bias"), upstream = Leaf("grad_output");
        var output = Call(c, input, weight, bias);
        Assert.Equal(c.Dtype, output.dtype);
        Assert.Equal(c["output"].stride(), output.stride());
        c.Check("output", output);

        string[] names = [.. new[] { "input", "weight", "bias" }.Where(c.Has)];
        Tensor[] inputs = [.. names.Select(n => n == "input" ? input : n == "weight" ? weight! : bias!)];
        var grads = autograd.grad([output], inputs, [upstream!], retain_graph: true, create_graph: true);
        foreach (var (name, grad) in names.Zip(grads)) c.Check("grad_" + name, grad);
        if (!c.Has("v")) return;

        string[] second = [.. new[] { "input", "grad_output", "weight" }.Where(n => c.Has("dd_" + n))];
        Tensor[] sources = [.. second.Select(n => n == "input" ? input : n == "weight" ? weight! : upstream!)];
        var seconds = autograd.grad([(grads[0] * c["v"]).sum()], sources, allow_unused: true);
        foreach (var (name, grad, source) in second.Zip(seconds, sources)) c.Check("dd_" + name, grad.IsInvalid ? zeros_like(source) : grad);
    }

    [Theory]
    [MemberData(nameof(ModuleCases))]
    public void A_module_gives_output_and_gradients(string suite, string label)
    {
        using var scope = NewDisposeScope();
        var c = GoldenSuite.Find(suite, label);
        using var module = Module(c);
        using (no_grad())
            foreach (var (name, parameter) in module.named_parameters()) parameter.copy_(c[name]);
        int k = 0;
        foreach (var step in c.Json.GetProperty("events").EnumerateArray().Select(e => e.GetString()))
        {
            string s = $"s{++k}_";
            module.train(step == "train");
            module.zero_grad();
            var input = c[s + "input"].detach().requires_grad_(true);
            var output = module.call(input);
            output.backward([c[s + "grad_output"]]);
            c.Check(s + "output", output);
            c.Check(s + "grad_input", input.grad);
            foreach (var (name, parameter) in module.named_parameters()) c.Check(s + "grad_" + name, parameter.grad);
        }
    }

    [Theory]
    [MemberData(nameof(StateCases))]
    public void A_module_has_PyTorchs_state_and_trains_to_the_same_values(string suite, string label)
    {
        using var scope = NewDisposeScope();
        var c = GoldenSuite.Find(suite, label);
        using var module = Module(c);
        var state = module.state_dict();
        Assert.Equal(c.Json.GetProperty("state_keys").EnumerateArray().Select(e => e[0].GetString()), state.Keys);
        Assert.Equal(c.Json.GetProperty("parameters").EnumerateArray().Select(e => e.GetString()), module.named_parameters().Select(p => p.name));
        Assert.Equal(c.Json.GetProperty("repr").GetString(), module.ToString());
        foreach (var (key, value) in state) c.Check("init__" + key, value);
        Tensor? output = null;
        for (int step = 1; step <= 3; step++)
        {
            module.zero_grad();
            output = module.forward(c[$"s{step}_input"]);
            if (state.Count == 0) continue;
            output.backward([c[$"s{step}_grad_output"]]);
            using var _ = no_grad();
            foreach (var parameter in module.parameters()) parameter.sub_(c.Json.GetProperty("lr").GetDouble() * parameter.grad!);
        }
        c.Check("s3_output", output);
        foreach (var (key, value) in module.state_dict()) c.Check("final__" + key, value);
    }

    [Theory]
    [MemberData(nameof(ErrorCases))]
    public void A_wrong_call_fails_in_PyTorchs_words(string suite, string label)
    {
        using var scope = NewDisposeScope();
        var c = GoldenSuite.Find(suite, label);
        var e = Assert.ThrowsAny<ArgumentException>(() => Classes.Contains(c.Op) ? (object)Module(c)
            : Call(c, c["input"], c.Optional("weight"), c.Optional("bias")));
        Assert.Contains(c.ErrorMessage, e.Message, StringComparison.Ordinal);
        Assert.NotNull(e.ParamName);
    }

    private static TheoryData<string, string> Cases(Func<GoldenCase, bool> where)
    {
        var data = new TheoryData<string, string>();
        foreach (string suite in Suites)
            foreach (var c in GoldenSuite.Load(suite).Cases.Where(where)) data.Add(suite, $"{c.Id} {c.Op} {c.Tag} {c.Dtype}");
        return data;
    }

    private static Tensor Call(GoldenCase c, Tensor input, Tensor? weight, Tensor? bias) => c.Op switch
    {
        "layer_norm" => stab.nn.functional.layer_norm(input, Shape(c), weight, bias, c.Number("eps")!.Value),
        "rms_norm" => stab.nn.functional.rms_norm(input, Shape(c), weight, c.Number("eps")),
        _ => stab.nn.functional.group_norm(input, (long)c.Number("num_groups")!, weight, bias, c.Number("eps") ?? 1e-5),
    };

    private static AffineModule Module(GoldenCase c) => c.Op == "LayerNorm"
        ? stab.nn.LayerNorm(Shape(c), c.Number("eps") ?? 1e-5, c.Flag("elementwise_affine", true), dtype: c.Dtype)
        : stab.nn.GroupNorm((long)c.Number("num_groups")!, (long)c.Number("num_channels")!, c.Number("eps") ?? 1e-5, c.Flag("affine", true), dtype: c.Dtype);

    private static long[] Shape(GoldenCase c)
    {
        var shape = c.Params.GetProperty("normalized_shape");
        return shape.ValueKind == JsonValueKind.Number ? [shape.GetInt64()] : [.. shape.EnumerateArray().Select(d => d.GetInt64())];
    }
}

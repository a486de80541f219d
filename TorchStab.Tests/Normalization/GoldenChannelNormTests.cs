using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Normalization;

/// <summary>PyTorch's reference vectors for batch_norm and instance_norm: functions with second derivatives, modules driven through events, errors.</summary>
public class GoldenChannelNormTests : InOneForm
{
    public GoldenChannelNormTests() : base(null) { }

    private protected GoldenChannelNormTests(KernelForm form) : base(form) { }

    private static readonly string[] Suites =
        ["norm_forward_backward.batch_norm", "norm_forward_backward.instance_norm", "norm_pytorch_opinfo", "norm_pytorch_module_tests"];

    public static TheoryData<string, string> FunctionCases => Cases(c => c.Op is "batch_norm" or "instance_norm" && !c.ExpectsError);

    public static TheoryData<string, string> ModuleCases => Cases(c => GoldenModules.IsChannelNorm(c.Op) && !c.ExpectsError && c.Tag != "large");

    public static TheoryData<string, string> LargeCases => Cases(c => c.Tag == "large");

    public static TheoryData<string, string> ErrorCases =>
        Cases(c => (c.Op is "batch_norm" or "instance_norm" || GoldenModules.IsChannelNorm(c.Op)) && c.ExpectsError);

    [Theory]
    [MemberData(nameof(FunctionCases))]
    public void A_function_gives_output_statistics_and_gradients(string suite, string label)
    {
        using var scope = NewDisposeScope();
        var c = GoldenSuite.Find(suite, label);
        var (output, leaves) = Call(c);
        Check(c, "output", output);
        Assert.Equal(c["output"].stride(), output.stride());

        string[] names = [.. new[] { "input", "weight", "bias" }.Where(leaves.ContainsKey)];
        var grads = autograd.grad([output], [.. names.Select(n => leaves[n])], [leaves["grad_output"]], retain_graph: true, create_graph: true);
        foreach (var (name, grad) in names.Zip(grads)) Check(c, "grad_" + name, grad);
        if (!c.Has("v")) return;

        string[] second = [.. new[] { "input", "grad_output", "weight" }.Where(n => c.Has("dd_" + n))];
        var seconds = autograd.grad([(grads[0] * c["v"]).sum()], [.. second.Select(n => leaves[n])], allow_unused: true);
        foreach (var (name, grad) in second.Zip(seconds)) Check(c, "dd_" + name, grad.IsInvalid ? zeros_like(leaves[name]) : grad);
    }

    [Theory]
    [MemberData(nameof(ModuleCases))]
    public void A_module_follows_the_events(string suite, string label)
    {
        using var scope = NewDisposeScope();
        var c = GoldenSuite.Find(suite, label);
        using var module = GoldenModules.Create(c);
        GoldenModules.Load(module, c);
        int k = 0;
        foreach (string? step in c.Json.GetProperty("events").EnumerateArray().Select(e => e.GetString()))
        {
            string s = $"s{++k}_";
            if (step == "reset_running_stats")
            {
                ((NormBase)module).reset_running_stats();
            }
            else
            {
                module.train(step == "train");
                module.zero_grad();
                var input = c[s + "input"].detach().requires_grad_(true);
                var output = module.call(input);
                output.backward([c[s + "grad_output"]]);
                Check(c, s + "output", output);
                Check(c, s + "grad_input", input.grad!);
                foreach (var (name, parameter) in module.named_parameters()) Check(c, $"{s}grad_{name}", parameter.grad!);
            }
            foreach (var (name, buffer) in module.named_buffers()) Check(c, s + name, buffer);
        }
    }

    [Theory]
    [MemberData(nameof(LargeCases))]
    public void A_large_reduction_keeps_its_digits(string suite, string label)
    {
        using var scope = NewDisposeScope();
        var c = GoldenSuite.Find(suite, label);
        using var module = GoldenModules.Create(c);
        GoldenModules.Load(module, c);
        var input = Lcg(c, "input_lcg").requires_grad_(true);
        var output = module.call(input);
        output.backward([Lcg(c, "grad_output_lcg")]);
        long stride = c.Json.GetProperty("stride").GetInt64();
        Tensor Sample(Tensor t) => t.flatten()[TensorIndex.Slice(0, null, stride)];
        Check(c, "output_sample", Sample(output));
        Check(c, "grad_input_sample", Sample(input.grad!));
        foreach (var (name, parameter) in module.named_parameters()) Check(c, "grad_" + name, parameter.grad!);
        Check(c, "running_mean_out", module.get_buffer("running_mean")!);
        Check(c, "running_var_out", module.get_buffer("running_var")!);
    }

    [Theory]
    [MemberData(nameof(ErrorCases))]
    public void A_wrong_call_fails_in_PyTorchs_words_and_changes_nothing(string suite, string label)
    {
        using var scope = NewDisposeScope();
        var c = GoldenSuite.Find(suite, label);
        using var module = GoldenModules.IsChannelNorm(c.Op) ? GoldenModules.Create(c) : null;
        module?.train(c.Flag("training", true));
        var before = module?.state_dict().ToDictionary(e => e.Key, e => e.Value.clone());
        var e = Assert.ThrowsAny<ArgumentException>(() => module is null ? Call(c).Output : module.call(c["input"]));
        Assert.Contains(c.ErrorMessage, e.Message, StringComparison.Ordinal);
        Assert.NotNull(e.ParamName);
        foreach (var (key, value) in before ?? []) Compare.Identical(value, module!.state_dict()[key], key);
    }

    private static TheoryData<string, string> Cases(Func<GoldenCase, bool> where)
    {
        var data = new TheoryData<string, string>();
        foreach (string suite in Suites)
            foreach (var c in GoldenSuite.Load(suite).Cases.Where(where)) data.Add(suite, $"{c.Id} {c.Op} {c.Tag} {c.Dtype}");
        return data;
    }

    private static void Check(GoldenCase c, string role, Tensor actual)
    {
        Assert.Equal(c[role].dtype, actual.dtype);
        c.Check(role, actual);
    }

    /// <summary>The functional on leaves over the stored tensors; running statistics are copies, checked here.</summary>
    private static (Tensor Output, Dictionary<string, Tensor> Leaves) Call(GoldenCase c)
    {
        var leaves = new[] { "input", "weight", "bias", "grad_output" }.Where(c.Has).ToDictionary(n => n, n => c[n].detach().requires_grad_(true));
        Tensor? weight = leaves.GetValueOrDefault("weight"), bias = leaves.GetValueOrDefault("bias");
        Tensor? mean = c.Optional("running_mean")?.clone(), variance = c.Optional("running_var")?.clone();
        double momentum = c.Number("momentum") ?? 0.1, eps = c.Number("eps") ?? 1e-5;
        var output = c.Op == "batch_norm"
            ? stab.nn.functional.batch_norm(leaves["input"], mean, variance, weight, bias, c.Flag("training"), momentum, eps)
            : stab.nn.functional.instance_norm(leaves["input"], mean, variance, weight, bias, c.Flag("use_input_stats", true), momentum, eps);
        if (c.Has("running_mean_out")) Check(c, "running_mean_out", mean!);
        if (c.Has("running_var_out")) Check(c, "running_var_out", variance!);
        return (output, leaves);
    }

    // x[k] = ((k·a + b) mod 2³¹)/2³¹ − 0.5, exact in float64, then cast.
    private static Tensor Lcg(GoldenCase c, string constants)
    {
        long[] ab = [.. c.Json.GetProperty(constants).EnumerateArray().Select(e => e.GetInt64())];
        long[] shape = [.. c.Json.GetProperty("input_shape").EnumerateArray().Select(e => e.GetInt64())];
        double[] values = [.. Enumerable.Range(0, (int)shape.Aggregate((p, d) => p * d))
            .Select(k => (double)((k * ab[0] + ab[1]) % (1L << 31)) / (1L << 31) - 0.5)];
        return tensor(values, c.Dtype).reshape(shape);
    }
}

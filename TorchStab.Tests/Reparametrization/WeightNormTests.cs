using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchStab.Tests.Reparametrization.ParametrizedLayers;
using Parametrizations = TorchStab.stab.nn.utils.parametrizations;

namespace TorchStab.Tests.Reparametrization;

/// <summary>weight_norm against its formula in float64: values, gradients, keys, and the way back.</summary>
public class WeightNormTests
{
    public static TheoryData<string> Kinds => ParametrizedLayers.Kinds;

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Computes_the_formula_and_its_gradients(string kind)
    {
        using var scope = NewDisposeScope();
        manual_seed(11);
        long rank = All[kind]().Layer.get_parameter("weight")!.dim();
        foreach (long? dim in (long?[])[0, 1, rank - 1, null])
        {
            var (layer, input) = All[kind]();
            var original = layer.get_parameter("weight")!;
            var weight = original.detach().clone();
            var before = layer.call(input).detach();
            var twin = (Parametrized)Parametrizations.weight_norm(layer, dim: dim);
            var norm = (WeightNorm)twin.parametrization;
            Assert.Same(original, norm.original1);
            if (kind != "Embedding") Compare.Close(before, twin.call(input), $"{kind}, dim {dim}: the output at the start");
            using (no_grad())
            {
                norm.original0.mul_(rand_like(norm.original0) + 0.5);
                norm.original1.add_(randn_like(norm.original1), 0.1);
            }
            var (g, v) = (norm.original0.detach().requires_grad_(), norm.original1.detach().requires_grad_());
            var expected = v * g / Norm(v, dim);
            Compare.Close(expected, twin.weight, $"{kind}, dim {dim}: the weight");

            // The layer's own weight gradient, through the formula.
            var output = twin.call(input);
            var upstream = randn_like(output);
            var actual = Gradients(output, upstream, twin);
            var (plain, _) = All[kind]();
            foreach (var (name, p) in plain.named_parameters()) using (no_grad()) p.copy_(name == "weight" ? expected : twin.bias!);
            var reference = plain.call(input);
            Compare.Close(reference, output, $"{kind}, dim {dim}: the output");
            var own = Gradients(reference, upstream, plain);
            expected.backward([own["weight"]]);
            Compare.Close(g.grad, actual["parametrizations.weight.original0"], $"{kind}, dim {dim}: gradient of g");
            Compare.Close(v.grad, actual["parametrizations.weight.original1"], $"{kind}, dim {dim}: gradient of v");
            if (twin.bias is not null) Compare.Close(own["bias"], actual["bias"], $"{kind}, dim {dim}: gradient of the bias");
        }
        Assert.True(weightIsUntouched(All[kind]().Layer));
        static bool weightIsUntouched(nn.Module layer) => layer.has_parameter("weight");
    }

    /// <summary>Closed form, without autograd: ∂L/∂g = Σ(∂L/∂w·v)/‖v‖, ∂L/∂v = g/‖v‖·∂L/∂w − g·(∂L/∂g)·v/‖v‖².</summary>
    [Fact]
    public void Gradients_are_those_of_the_paper()
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        var twin = (Parametrized)Parametrizations.weight_norm(nn.Linear(6, 4, hasBias: false, dtype: ScalarType.Float64));
        var norm = (WeightNorm)twin.parametrization;
        using (no_grad()) norm.original0.copy_(rand_like(norm.original0) + 1);
        var (x, upstream) = (randn(5, 6, ScalarType.Float64), randn(5, 4, ScalarType.Float64));
        twin.call(x).backward([upstream]);
        var (g, v) = (norm.original0.detach(), norm.original1.detach());
        var length = v.square().sum(dim: 1, keepdim: true).sqrt();
        var w = upstream.t().mm(x);
        var gradientOfG = (w * v).sum(dim: 1, keepdim: true) / length;
        Compare.Close(gradientOfG, norm.original0.grad, "g");
        Compare.Close(w * g / length - v * g * gradientOfG / length.square(), norm.original1.grad, "v");
    }

    [Fact]
    public void Second_derivatives_are_those_of_the_formula()
    {
        using var scope = NewDisposeScope();
        manual_seed(5);
        var twin = (Parametrized)Parametrizations.weight_norm(nn.Linear(4, 3, hasBias: false, dtype: ScalarType.Float64));
        var norm = (WeightNorm)twin.parametrization;
        var (x, upstream) = (randn(2, 4, ScalarType.Float64), randn(2, 3, ScalarType.Float64));
        var (g, v) = (norm.original0.detach().requires_grad_(), norm.original1.detach().requires_grad_());
        Compare.Close(Second(nn.functional.linear(x, v * g / Norm(v, 0)), [g, v]), Second(twin.call(x), [norm.original0, norm.original1]), "second derivative",
            Tolerance.SecondDerivative);

        Tensor Second(Tensor y, Tensor[] of)
        {
            var first = autograd.grad([(y.square() * upstream).sum()], of, retain_graph: true, create_graph: true);
            return autograd.grad([first[0].square().sum() + first[1].pow(3).sum()], [of[1]])[0];
        }
    }

    [Fact]
    public void A_row_of_zeros_stays_zero_and_has_finite_gradients()
    {
        using var scope = NewDisposeScope();
        var embedding = nn.Embedding(4, 3, padding_idx: 1);
        var twin = Parametrizations.weight_norm(embedding);
        var y = twin.call(tensor(new long[] { 1, 0, 1 }));
        Assert.True(y[0].eq(0).all().item<bool>());
        y.backward([randn_like(y)]);
        foreach (var (name, p) in twin.named_parameters())
        {
            Assert.True(p.grad!.isfinite().all().item<bool>(), name);
            Assert.True(p.grad![1].eq(0).all().item<bool>(), $"{name}: the padding row");
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Removal_gives_the_layer_back_with_the_weight_of_now(string kind)
    {
        using var scope = NewDisposeScope();
        var (layer, input) = All[kind]();
        int calls = 0;
        layer.register_forward_hook((_, _, y) => { calls++; return y; });
        var twin = (Parametrized)Parametrizations.weight_norm(layer);
        using (no_grad()) ((WeightNorm)twin.parametrization).original0.mul_(1.5);
        twin.to(ScalarType.Float32).to(ScalarType.Float64);
        twin.eval();
        var expected = twin.call(input).detach();
        var weight = twin.weight.detach();
        var back = (nn.Module<Tensor, Tensor>)stab.nn.utils.parametrize.remove_parametrizations(twin);
        Assert.Same(layer, back);
        Assert.False(back.training);
        Assert.Equal(twinKeys(layer), back.state_dict().Keys);
        Compare.Close(weight, back.get_parameter("weight")!, "weight");
        Compare.Close(expected, back.call(input), "output");
        Assert.Equal(2, calls);
        back.call(input).backward([randn_like(expected)]);
        Assert.All(back.parameters(), p => Assert.NotNull(p.grad));
        static IEnumerable<string> twinKeys(nn.Module layer) => layer.get_parameter("bias") is null ? ["weight"] : ["weight", "bias"];
    }

    [Fact]
    public void Keys_are_those_of_PyTorch_and_older_ones_load()
    {
        using var scope = NewDisposeScope();
        var twin = (Parametrized)Parametrizations.weight_norm(nn.Linear(4, 3));
        Assert.Equal(["bias", "parametrizations.weight.original0", "parametrizations.weight.original1"], twin.state_dict().Keys);
        Assert.Equal([3, 1], ((WeightNorm)twin.parametrization).original0.shape);
        using var model = nn.Sequential(("fc", twin));
        var older = new Dictionary<string, Tensor> { ["fc.weight_g"] = rand(3, 1), ["fc.weight_v"] = randn(3, 4), ["fc.bias"] = randn(3) };
        model.load_state_dict(stab.nn.utils.parametrize.convert_state_dict(model, older));
        Compare.Close(older["fc.weight_g"] * older["fc.weight_v"] / Norm(older["fc.weight_v"], 0), twin.weight, "weight");
        twin.load_state_dict(older.ToDictionary(e => e.Key[3..], e => e.Value * 2));
        Compare.Close(older["fc.weight_g"] * 2, ((WeightNorm)twin.parametrization).original0.detach(), "g");
        Assert.Throws<InvalidOperationException>(() => twin.load_state_dict(new() { ["weight_g"] = rand(3, 1) }));
    }

    [Fact]
    public void Saves_and_loads_in_a_model()
    {
        using var scope = NewDisposeScope();
        string file = Path.GetTempFileName();
        using var saved = nn.Sequential(("a", nn.Conv2d(2, 3, 3)), ("b", nn.ReLU()), ("c", nn.Conv2d(3, 2, 1)));
        using var loaded = nn.Sequential(("a", nn.Conv2d(2, 3, 3)), ("b", nn.ReLU()), ("c", nn.Conv2d(3, 2, 1)));
        foreach (var model in (Sequential[])[saved, loaded]) Parametrizations.weight_norm(model);
        saved.save(file);
        loaded.load(file);
        foreach (var (key, value) in saved.state_dict()) Compare.Identical(value, loaded.state_dict()[key], key);
        File.Delete(file);
    }

    [Fact]
    public void Half_types_and_leaks()
    {
        using var scope = NewDisposeScope();
        foreach (var dtype in (ScalarType[])[ScalarType.BFloat16, ScalarType.Float32])
        {
            var twin = Parametrizations.weight_norm(nn.Linear(4, 3, dtype: dtype));
            using var x = randn(2, 4, dtype);
            LiveTensors.AssertNoneLeft(() => twin.call(x).Dispose());
            LiveTensors.AssertNoneLeft(() => ((Parametrized)twin).weight.Dispose());
        }
    }

    internal static Tensor Norm(Tensor v, long? dim) => dim is not { } d ? v.square().sum().sqrt()
        : v.square().sum([.. Enumerable.Range(0, (int)v.dim()).Where(i => i != d).Select(i => (long)i)], keepdim: true).sqrt();
}

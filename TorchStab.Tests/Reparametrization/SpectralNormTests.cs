using TorchSharp;
using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchStab.Tests.Reparametrization.ParametrizedLayers;
using Parametrizations = TorchStab.stab.nn.utils.parametrizations;

namespace TorchStab.Tests.Reparametrization;

/// <summary>spectral_norm against an SVD, its formula and PyTorch's rules for when the vectors move.</summary>
public class SpectralNormTests
{
    public static TheoryData<string> Kinds => ParametrizedLayers.Kinds;

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Sigma_converges_to_that_of_an_SVD(string kind)
    {
        using var scope = NewDisposeScope();
        manual_seed(2);
        var (layer, input) = All[kind]();
        var twin = (Parametrized)Parametrizations.spectral_norm(layer, n_power_iterations: 300);
        var norm = (SpectralNorm)twin.parametrization;
        Assert.Equal(kind.StartsWith("ConvTranspose", StringComparison.Ordinal) ? 1 : 0, norm.dim);
        twin.call(input);
        var matrix = norm.original.detach().transpose(0, norm.dim).flatten(1);
        double sigma = linalg.svdvals(matrix)[0].item<double>();
        // 300 iterations leave an error of (σ₂/σ₁)⁶⁰⁰: nothing for these seeds.
        Compare.Close(norm.original.detach() / sigma, twin.eval_weight(), kind, 1e-8);
        Assert.Equal([matrix.size(0)], norm.u.shape);
        Assert.Equal([matrix.size(1)], norm.v.shape);
    }

    [Fact]
    public void Vectors_move_in_training_calls_only_and_fifteen_times_at_the_start()
    {
        using var scope = NewDisposeScope();
        manual_seed(4);
        var layer = nn.Linear(6, 5, dtype: ScalarType.Float64);
        var weight = layer.weight.detach().clone();
        manual_seed(9);
        var twin = (Parametrized)Parametrizations.spectral_norm(layer);
        var norm = (SpectralNorm)twin.parametrization;
        manual_seed(9);
        var (u, v) = (Unit(weight.new_empty([5]).normal_(0, 1)), Unit(weight.new_empty([6]).normal_(0, 1)));
        for (int i = 0; i < 15; i++) (u, v) = Next(weight, v);
        Compare.Close(u, norm.u, "u at the start");
        Compare.Close(v, norm.v, "v at the start");
        using var x = randn(2, 6, ScalarType.Float64);
        twin.eval();
        twin.call(x);
        Compare.Close(u, norm.u, "u in eval mode");
        twin.train();
        twin.call(x);
        (u, v) = Next(weight, v);
        Compare.Close(u, norm.u, "u in training");
        Compare.Close(v, norm.v, "v in training");
    }

    /// <summary>∂L/∂W = (∂L/∂w − ⟨∂L/∂w, w⟩·uvᵀ)/σ, u and v held fixed.</summary>
    [Fact]
    public void Gradients_are_those_of_the_paper()
    {
        using var scope = NewDisposeScope();
        manual_seed(6);
        var twin = (Parametrized)Parametrizations.spectral_norm(nn.Linear(6, 4, hasBias: false, dtype: ScalarType.Float64));
        var norm = (SpectralNorm)twin.parametrization;
        twin.eval();
        var (x, upstream) = (randn(5, 6, ScalarType.Float64), randn(5, 4, ScalarType.Float64));
        twin.call(x).backward([upstream]);
        var (w, u, v) = (norm.original.detach(), norm.u, norm.v);
        var sigma = u.dot(w.mv(v));
        var gradient = upstream.t().mm(x);
        Compare.Close((gradient - (gradient * w / sigma).sum() * u.outer(v)) / sigma, norm.original.grad, "W");
    }

    [Fact]
    public void Two_passes_before_one_backward_have_vectors_of_their_own()
    {
        using var scope = NewDisposeScope();
        manual_seed(8);
        var twin = (Parametrized)Parametrizations.spectral_norm(nn.Linear(6, 4, dtype: ScalarType.Float64));
        var x = randn(5, 6, ScalarType.Float64);
        (twin.call(x).square().sum() + twin.call(x).pow(3).sum()).backward(); // an error where the second call had changed what the first one needs
        Assert.True(((SpectralNorm)twin.parametrization).original.grad!.isfinite().all().item<bool>());
    }

    [Fact]
    public void A_weight_that_starts_at_zero_or_meets_NaN_recovers()
    {
        using var scope = NewDisposeScope();
        manual_seed(1);
        var layer = nn.Linear(4, 3, dtype: ScalarType.Float64);
        using (no_grad()) layer.weight.fill_(0);
        var twin = (Parametrized)Parametrizations.spectral_norm(layer, n_power_iterations: 100);
        var norm = (SpectralNorm)twin.parametrization;
        var x = randn(2, 4, ScalarType.Float64);
        Assert.True(twin.call(x).isfinite().all().item<bool>());
        foreach (double bad in (double[])[double.NaN, double.PositiveInfinity])
        {
            using (no_grad()) norm.original.fill_(bad);
            twin.call(x);
            using (no_grad()) norm.original.copy_(randn_like(norm.original));
            twin.call(x);
            Compare.Close(norm.original.detach() / linalg.svdvals(norm.original.detach())[0], twin.eval_weight(), $"after {bad}", 1e-8);
        }
    }

    [Fact]
    public void Keys_are_those_of_PyTorch_older_ones_load_and_vectors_move_along()
    {
        using var scope = NewDisposeScope();
        var twin = (Parametrized)Parametrizations.spectral_norm(nn.Linear(4, 3));
        string[] keys = ["bias", "parametrizations.weight.original", "parametrizations.weight.0._u", "parametrizations.weight.0._v"];
        Assert.Equal(keys, twin.state_dict().Keys);
        var older = new Dictionary<string, Tensor> { ["weight_orig"] = randn(3, 4), ["weight_u"] = randn(3), ["weight_v"] = randn(4), ["bias"] = randn(3) };
        twin.load_state_dict(older);
        var norm = (SpectralNorm)twin.parametrization;
        Compare.Identical(older["weight_orig"], norm.original.detach(), "W");
        Compare.Identical(older["weight_u"], norm.u, "u");
        Compare.Identical(older["weight_v"], norm.v, "v");
        using var model = nn.Sequential(twin);
        model.to(ScalarType.Float64);
        Assert.All(model.state_dict().Values, t => Assert.Equal(ScalarType.Float64, t.dtype));
        Assert.Equal(keys.Select(k => $"0.{k}"), model.state_dict().Keys);
        model.call(randn(2, 4, ScalarType.Float64));
    }

    [Fact]
    public void Removal_keeps_the_weight_and_trains_on_and_nothing_leaks()
    {
        using var scope = NewDisposeScope();
        var layer = nn.ConvTranspose2d(3, 4, 2, dtype: ScalarType.Float64);
        var parameter = layer.weight;
        var twin = (Parametrized)Parametrizations.spectral_norm(layer);
        using var x = randn(2, 3, 4, 4, ScalarType.Float64);
        LiveTensors.AssertNoneLeft(() => twin.call(x).Dispose());
        var weight = twin.eval_weight();
        Assert.Same(layer, stab.nn.utils.parametrize.remove_parametrizations(twin));
        Assert.Same(parameter, layer.weight);
        Compare.Close(weight, layer.weight.detach(), "weight");
        Assert.True(layer.training);
        Assert.Throws<ArgumentException>(() => stab.nn.utils.parametrize.remove_parametrizations(layer));
    }

    private static Tensor Unit(Tensor x) => x / x.norm();

    private static (Tensor u, Tensor v) Next(Tensor w, Tensor v)
    {
        var u = Unit(w.mv(v));
        return (u, Unit(w.t().mv(u)));
    }
}

internal static class ParametrizedExtensions
{
    /// <summary>The weight without another power iteration.</summary>
    public static Tensor eval_weight(this Parametrized module)
    {
        bool training = module.training;
        module.eval();
        var weight = module.weight.detach();
        module.train(training);
        return weight;
    }
}

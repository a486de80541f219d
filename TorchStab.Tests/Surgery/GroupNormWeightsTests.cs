using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Tests.Surgery;

/// <summary>The weights of a GroupNorm that TorchSharp never wrote.</summary>
public class GroupNormWeightsTests
{
    private static GroupNorm Norm(float weight, float bias, ScalarType dtype = ScalarType.Float32)
    {
        var norm = nn.GroupNorm(2, 4, dtype: dtype);
        using var _ = no_grad();
        norm.weight.copy_(tensor(new[] { 0.5f, weight, 2, 3 }));
        norm.bias!.copy_(tensor(new[] { 0.25f, bias, 2, 3 }));
        return norm;
    }

    [Theory]
    [InlineData(float.NaN, 0.5f, true)]
    [InlineData(0.5f, float.PositiveInfinity, true)]
    [InlineData(1e-40f, 0.5f, true)]
    [InlineData(0.5f, -1e-40f, true)]
    [InlineData(1e30f, 0, true)]
    [InlineData(0.5f, 0.5f, false)]
    [InlineData(0, 0, false)]
    public void Values_that_no_layer_has_become_one_and_zero(float weight, float bias, bool repaired)
    {
        using var scope = NewDisposeScope();
        var norm = Norm(weight, bias);
        var (before, value) = (norm.weight, norm.weight.detach().clone());
        using var model = nn.Sequential(("n", norm));
        var report = stab.nn.utils.swap_norms_(model, new SwapOptions { RequireAll = true });
        var twin = (TorchStab.Modules.GroupNorm)model[0];
        Assert.Same(before, twin.weight);
        Assert.Equal(repaired, report.Changes[0].To.EndsWith(", weight set to 1 and bias to 0", StringComparison.Ordinal));
        string warning = Assert.Single(report.Warnings);
        Assert.Contains(warning, report.ToString(), StringComparison.Ordinal);
        Assert.Contains(repaired ? "weight set to 1 and bias to 0, because of values that no layer has" : "GroupNormWeights.Reset", warning,
            StringComparison.Ordinal);
        Assert.Equal(repaired ? [1f, 1, 1, 1] : value.data<float>().ToArray(), twin.weight!.detach().data<float>().ToArray());
        if (repaired) Assert.Equal([0f, 0, 0, 0], twin.bias!.detach().data<float>().ToArray());
    }

    [Fact]
    public void What_somebody_filled_stays_beside_what_nobody_wrote()
    {
        using var scope = NewDisposeScope();
        var norm = Norm(1, float.NaN);
        nn.init.constant_(norm.weight, 0.5);
        using var model = nn.Sequential(norm);
        var report = stab.nn.utils.swap_norms_(model);
        Assert.Equal("stab.nn.GroupNorm, bias set to 0", report.Changes.Single().To);
        Assert.StartsWith("0  torch.nn.GroupNorm: bias set to 0, because", report.Warnings.Single(), StringComparison.Ordinal);
        Assert.Equal([0.5f, 0.5f, 0.5f, 0.5f], norm.weight.detach().data<float>().ToArray());
        Assert.Equal([0f, 0, 0, 0], norm.bias!.detach().data<float>().ToArray());
    }

    [Fact]
    public void The_option_resets_all_or_keeps_all()
    {
        using var scope = NewDisposeScope();
        using var model = nn.Sequential(Norm(0.5f, 0.5f), Norm(float.NaN, 0));
        stab.nn.utils.swap_norms_(model, new SwapOptions { GroupNorm = GroupNormWeights.Keep });
        Assert.True(double.IsNaN(((TorchStab.Modules.GroupNorm)model[1]).weight!.sum().item<float>()));
        stab.nn.utils.restore_norms_(model);
        var report = stab.nn.utils.swap_norms_(model, new SwapOptions { GroupNorm = GroupNormWeights.Reset });
        Assert.Contains("0 and 1 more", Assert.Single(report.Warnings), StringComparison.Ordinal);
        Assert.All(model.children().OfType<TorchStab.Modules.GroupNorm>(),
            n => Assert.True(n.weight!.eq(1).all().item<bool>() && n.bias!.eq(0).all().item<bool>()));
        Assert.All(model.parameters(), p => Assert.True(p.is_leaf && p.requires_grad));
    }

    [Fact]
    public void Trained_and_initialized_weights_say_nothing()
    {
        using var scope = NewDisposeScope();
        var (trained, fresh, half) = (Norm(0.5f, 0.5f), nn.GroupNorm(2, 4), Norm(1e-6f, 0, ScalarType.Float16));
        nn.init.ones_(fresh.weight);
        nn.init.zeros_(fresh.bias!);
        trained.call(randn(2, 4, 3)).sum().backward();
        half.weight.grad = ones_like(half.weight).detach();
        using var model = nn.Sequential(trained, fresh, half);
        Assert.Empty(stab.nn.utils.swap_norms_(model).Warnings);
    }
}

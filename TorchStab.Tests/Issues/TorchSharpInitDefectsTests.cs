using TorchStab.Modules;
using static TorchSharp.torch;
using Theirs = TorchSharp.torch.nn.init;

namespace TorchStab.Tests.Issues;

/// <summary>Initializers of TorchSharp 0.107.0 that are wrong, and the same call here.</summary>
public class TorchSharpInitDefectsTests
{
    private const int Size = 300;

    [Fact]
    public void Xavier_normal_is_uniform_there_and_normal_here()
    {
        using var scope = NewDisposeScope();
        manual_seed(1);
        double boundOfUniform = Math.Sqrt(6.0 / (Size + Size));
        double theirs = Theirs.xavier_normal_(empty(Size, Size)).abs().max().item<float>();
        double ours = stab.nn.init.xavier_normal_(empty(Size, Size)).abs().max().item<float>();
        Assert.InRange(theirs, 0, boundOfUniform);
        Assert.True(ours > 1.5 * boundOfUniform, $"a normal distribution reaches beyond {boundOfUniform}, got {ours}");
    }

    [Fact]
    public void Trunc_normal_is_one_constant_there_and_a_distribution_here()
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var theirs = Theirs.trunc_normal_(zeros(1000), 0, 0.02);
        var ours = stab.nn.init.trunc_normal_(zeros(1000), 0, 0.02);
        Assert.Equal(0, theirs.std().item<float>(), 6);
        Assert.Equal(0.02, ours.std().item<float>(), 0.002);
    }

    [Fact]
    public void A_generator_is_ignored_there_and_honoured_here()
    {
        using var scope = NewDisposeScope();
        Tensor Draw(Func<Generator, Tensor> init) => init(new Generator(7, CPU));
        Assert.False(Draw(g => Theirs.normal_(empty(10), generator: g)).equal(Draw(g => Theirs.normal_(empty(10), generator: g))).all().item<bool>());
        Assert.True(Draw(g => stab.nn.init.normal_(empty(10), generator: g)).equal(Draw(g => stab.nn.init.normal_(empty(10), generator: g)))
            .all().item<bool>());
    }

    [Fact]
    public void GroupNorm_starts_with_whatever_memory_held_there_and_with_ones_and_zeros_here()
    {
        using var scope = NewDisposeScope();
        using var theirs = nn.GroupNorm(4, 4096);
        using GroupNorm ours = stab.nn.GroupNorm(4, 4096);
        Assert.False(theirs.weight!.eq(1).all().item<bool>());
        Assert.True(ours.weight.eq(1).all().item<bool>());
        Assert.True(ours.bias!.eq(0).all().item<bool>());
    }
}

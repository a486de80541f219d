using TorchSharp;
using TorchStab.Clipping;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Clipping;

/// <summary>The gradient of a weight that two layers share counts once.</summary>
public class TiedGradientsTests
{
    [Fact]
    public void The_norm_counts_it_once_and_scales_it_once()
    {
        using var model = new Tied();
        using var gradient = randn(5, 3);
        using var norm = linalg.vector_norm(gradient);
        model.Head.weight.grad = gradient.clone();
        Assert.Equal(norm.item<float>(), stab.nn.utils.get_total_norm(model.parameters().Select(p => p.grad!).Where(g => g is not null)), 5);
        Assert.Equal(norm.item<float>(), stab.nn.utils.clip_grad_norm_(model.parameters(), 0.5), 5);
        using var clipped = gradient * (0.5 / (norm.item<float>() + 1e-6));
        Compare.Close(clipped, model.Head.weight.grad, "scaled once");
        stab.nn.utils.clip_grads_with_norm_(model.parameters(), 0.25, 0.5);
        using var halved = clipped / 2;
        Compare.Close(halved, model.Head.weight.grad, "scaled once more");
    }

    [Theory]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.Float32)]
    public void Every_rule_acts_on_it_as_on_a_parameter_of_its_own(ScalarType dtype)
    {
        for (int k = 0; k < Make.Rules(0.01).Length; k++)
        {
            using var scope = NewDisposeScope();
            using var model = new Tied();
            model.to(dtype);
            model.Head.weight = model.Table.weight!;
            var gradient = randn(5, 3, dtype: dtype);
            var alone = new TorchSharp.Modules.Parameter(model.Head.weight.detach().clone()) { grad = gradient.clone() };
            model.Head.weight.grad = gradient.clone();
            Make.Rules(0.01)[k].Apply(model.parameters());
            Make.Rules(0.01)[k].Apply([alone]);
            Compare.Identical(alone.grad!, model.Head.weight.grad!, $"rule {k}");
        }
    }

    /// <summary>They are two gradients: none of them may be lost.</summary>
    [Fact]
    public void Two_leaves_over_one_memory_count_twice()
    {
        using var scope = NewDisposeScope();
        var weight = new TorchSharp.Modules.Parameter(zeros(2)) { grad = full([2], 3f) };
        var other = new TorchSharp.Modules.Parameter(weight.detach()) { grad = full([2], 4f) };
        Assert.Equal(2, GradientSet.Distinct([weight, other]).Count);
        Assert.Equal(Math.Sqrt(50), stab.nn.utils.clip_grad_norm_([weight, other], 100), 5);
    }
}

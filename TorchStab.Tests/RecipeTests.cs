using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests;

/// <summary>What docs/recipes.md claims.</summary>
public class RecipeTests
{
    [Fact]
    public void Normalized_queries_and_keys_bound_the_logits_and_may_be_normalized_before_the_transposition()
    {
        using var scope = NewDisposeScope();
        const long width = 16;
        using var norm = stab.nn.RMSNorm(width, dtype: ScalarType.Float64);
        var (q, k) = (1e6 * randn([2, 5, 4, width], ScalarType.Float64), 1e-3 * randn([2, 5, 4, width], ScalarType.Float64));
        var (nq, nk) = (norm.call(q).transpose(1, 2), norm.call(k).transpose(1, 2));
        Compare.Close(norm.call(q.transpose(1, 2)), nq, "either order");
        var logits = nq.matmul(nk.transpose(-2, -1)) / Math.Sqrt(width);
        Assert.InRange(logits.abs().max().item<double>(), 0, Math.Sqrt(width));
    }

    [Fact]
    public void The_z_loss_holds_the_constant_that_the_softmax_does_not_see()
    {
        using var scope = NewDisposeScope();
        manual_seed(1);
        var target = randint(0, 10, [8]);
        foreach (bool penalized in (bool[])[false, true])
        {
            var logits = (randn([8, 10], ScalarType.Float64) + 50).requires_grad_();
            for (int step = 0; step < 200; step++)
            {
                var loss = nn.functional.cross_entropy(logits, target) + (penalized ? 1 : 0) * logits.logsumexp(-1).square().mean();
                using var gradient = autograd.grad([loss], [logits])[0];
                using (no_grad()) logits.sub_(gradient);
            }
            double z = logits.detach().logsumexp(-1).abs().mean().item<double>();
            if (penalized) Assert.InRange(z, 0, 5);
            else Assert.InRange(z, 45, 60);
        }
    }

    [Fact]
    public void A_float16_moment_that_is_rounded_to_zero_needs_a_larger_eps()
    {
        Assert.InRange(Change(ScalarType.Float16, 1e-8), 1, double.PositiveInfinity); // thousands of times the rate
        Assert.InRange(Change(ScalarType.Float16, 1e-3), 0, 1e-3);
        Assert.InRange(Change(ScalarType.BFloat16, 1e-8), 0, 1.1e-3);
        Assert.InRange(Change(null, 1e-8), 0, 1.1e-3);

        static double Change(ScalarType? moments, double eps)
        {
            using var scope = NewDisposeScope();
            using var parameter = new Parameter(zeros([4], ScalarType.Float32));
            using var optimizer = stab.optim.Adam([("w", parameter)], 1e-3, eps: eps);
            if (moments is { } dtype) optimizer.MomentDtype = dtype;
            Tensor before = parameter;
            for (int i = 0; i < 30; i++)
            {
                before = parameter.detach().clone();
                parameter.grad = full_like(parameter, i < 29 ? 1e-4 : 0);
                optimizer.step();
            }
            return (parameter.detach() - before).abs().max().item<float>();
        }
    }

    [Fact]
    public void The_stream_of_pre_norm_blocks_grows_unless_their_outputs_start_smaller()
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        const int blocks = 64, width = 64;
        double[] deviation = [Deviation(false), Deviation(true)];
        Assert.InRange(deviation[0], 4, 20);
        Assert.InRange(deviation[1], 1, 2);

        static double Deviation(bool scaled)
        {
            var f = Enumerable.Range(0, blocks).Select(i => ($"f{i}", (nn.Module<Tensor, Tensor>)nn.Linear(width, width, dtype: ScalarType.Float64))).ToArray();
            using var model = nn.Sequential(f);
            stab.nn.init.initialize_(model, new() { ResidualOutputs = scaled ? (_, _) => true : null });
            using var norm = stab.nn.RMSNorm(width, dtype: ScalarType.Float64);
            var x = randn([256, width], ScalarType.Float64);
            foreach (var (_, layer) in f) x = x + layer.call(norm.call(x));
            return x.std().item<double>();
        }
    }
}

using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Clipping;

/// <summary>What a rule is shown of the gradients: which there are, where they lie now, and norms of the right precision.</summary>
public class GradientSetTests
{
    [Theory]
    [InlineData(0.0, double.NaN)]
    [InlineData(-1.0, double.PositiveInfinity)]
    [InlineData(double.NegativeInfinity, double.PositiveInfinity)]
    [InlineData(double.PositiveInfinity, double.NaN)]
    [InlineData(1.0, double.NegativeInfinity)]
    public void A_poisoned_gradient_is_found_though_the_rules_order_hides_it(double order, double poison)
    {
        using var scope = NewDisposeScope();
        var (well, ill) = (Make.Parameter(ones(3)), Make.Parameter(tensor(new[] { 1f, (float)poison })));
        using var optimizer = stab.optim.SGD([("well", well), ("ill", ill)], 1);
        optimizer.Clip = GradientClip.ByGlobalNorm(1, order);
        optimizer.step();
        Assert.True(optimizer.LastStep is { Skipped: true, FirstNonFinite: "ill" });
        Compare.Identical(ones(3), well, "parameter");
    }

    [Fact]
    public void The_number_of_gradients_may_change_from_step_to_step()
    {
        using var scope = NewDisposeScope();
        Parameter[] parameters = [new(zeros(1, ScalarType.Float64)), new(zeros(1, ScalarType.Float64)), new(zeros(1, ScalarType.Float64))];
        using var optimizer = stab.optim.SGD(parameters, 1);
        optimizer.Clip = GradientClip.ByNorm(10);
        foreach (int count in new[] { 3, 1, 2, 2, 3 })
        {
            optimizer.zero_grad();
            for (int i = 0; i < count; i++) parameters[i].grad = full(1, i + 1.0, ScalarType.Float64);
            optimizer.step();
            Assert.Equal(Math.Sqrt(Enumerable.Range(1, count).Sum(i => i * i)), optimizer.LastStep.GradNorm, Tolerance.Float64);
        }
        Compare.Close(full(1, -9.0, ScalarType.Float64), parameters[2] * 1.5, "the third took two steps");
        Compare.Close(full(1, -8.0, ScalarType.Float64), parameters[1], "the second four");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_filter_that_moves_a_parameter_is_followed(bool gradient)
    {
        using var scope = NewDisposeScope();
        var p = Make.Parameter(full(4, 0.25));
        using var optimizer = stab.optim.SGD([p], 1);
        optimizer.Clip = GradientClip.Adaptive(exclude: (_, q) =>
        {
            if (gradient) q.grad!.set_(full(4, 0.5f));
            else q.set_(full(4, 5f));
            return true;
        });
        optimizer.step();
        Compare.Close(full(4, gradient ? 0.5f : 4.75f), p, "parameter");
    }

    [Fact]
    public void A_bound_on_values_is_on_the_average_of_a_window()
    {
        using var scope = NewDisposeScope();
        var p = Make.Parameter(full(1, 4f));
        using var optimizer = stab.optim.SGD([p], 1, clipvalue: 1);
        optimizer.accumulate(2);
        optimizer.step();
        optimizer.step();
        Compare.Identical(zeros(1), p, "parameter");
        Assert.Equal(new StepReport { GradNorm = 2, Coefficient = 0.5, Clipped = true }, optimizer.LastStep);
    }

    [Fact]
    public void A_filter_sees_the_names_of_its_groups_alone()
    {
        using var scope = NewDisposeScope();
        var parameters = Enumerable.Range(0, 3).Select(i => ($"p{i}", Make.Parameter(ones(2, 2)))).ToList();
        using var optimizer = stab.optim.SGD([new TorchStab.Modules.SGD.ParamGroup(parameters[..1], clipnorm: 1), new(parameters[1..])], 1);
        List<string> seen = [];
        optimizer.Clip = GradientClip.Adaptive(exclude: (name, _) =>
        {
            seen.Add(name!);
            return false;
        });
        optimizer.step();
        Assert.Equal(["p1", "p2"], seen);
    }

    [Fact]
    public void A_refused_step_leaves_the_next_one_whole()
    {
        using var scope = NewDisposeScope();
        using var embedding = nn.Embedding(5, 3, sparse: true);
        var dense = Make.Parameter(ones(2));
        using var optimizer = stab.optim.SGD(embedding.parameters().Append(dense), 0.5);
        embedding.call(tensor(new long[] { 1, 3 })).mul(randn(2, 3)).sum().backward();
        for (int i = 0; i < 2; i++) Assert.Throws<InvalidOperationException>(() => optimizer.step());
        Compare.Identical(ones(2), dense, "not stepped");
        embedding.weight!.grad = null;
        optimizer.step();
        Compare.Identical(full(2, 0.5), dense, "stepped once");
        Assert.Equal(Math.Sqrt(2), optimizer.LastStep.GradNorm, Tolerance.Float32);
        Assert.Contains("sparse", Assert.Throws<InvalidOperationException>(() => stab.nn.utils.get_total_norm([dense.grad!, Sparse()])).Message);
    }

    [Fact]
    public void Get_total_norm_raises_when_asked_to_in_PyTorchs_words()
    {
        using var scope = NewDisposeScope();
        Tensor[] bad = [ones(2), tensor(new[] { float.NaN })];
        Assert.True(double.IsNaN(stab.nn.utils.get_total_norm(bad)));
        var error = Assert.Throws<InvalidOperationException>(() => stab.nn.utils.get_total_norm(bad, 2, error_if_nonfinite: true));
        Assert.Contains("The total norm of order 2.0 for gradients from `parameters` is non-finite, so it cannot be clipped", error.Message,
            StringComparison.Ordinal);
        Assert.Equal(Math.Sqrt(2), stab.nn.utils.get_total_norm([ones(2)], 2, error_if_nonfinite: true), Tolerance.Float32);
    }

    [Theory]
    [InlineData(ScalarType.Float16, 3.0, 948.0)]
    [InlineData(ScalarType.BFloat16, 1.0, 944.0)]
    [InlineData(ScalarType.BFloat16, 2.0, 944.0)]
    public void Tensor_operations_take_norms_of_half_types_in_single_precision(ScalarType dtype, double order, double element)
    {
        using var scope = NewDisposeScope();
        using var off = KernelForm.TensorOps();
        double expected = element * Math.Pow(9999, 1 / order);
        Assert.Equal(1, stab.nn.utils.get_total_norm([full(9999, element, ScalarType.Float32).to(dtype)], order) / expected, Tolerance.Float32);
    }

    [Fact]
    public void A_single_precision_neighbour_costs_a_double_norm_no_digits()
    {
        using var scope = NewDisposeScope();
        using var off = KernelForm.TensorOps();
        const double X = 1.23456789012345;
        Assert.Equal(Math.Pow(1 + X * X * X, 1.0 / 3), stab.nn.utils.get_total_norm([ones(1), tensor(new[] { X })], 3), Tolerance.Float64);
    }

    [Fact]
    public void Adaptive_clipping_of_a_norm_below_a_millionth_is_timms()
    {
        using var scope = NewDisposeScope();
        const float Small = 1f / (1 << 30);
        var p = Make.Parameter(tensor(new[] { Small }));
        GradientClip.Adaptive(Small, 0).Apply([p]); // ‖g‖ = λ‖w‖: g · λ‖w‖ / max(‖g‖, 1e-6)
        Assert.Equal(Small / 1e-6, p.grad!.item<float>() / Small, Tolerance.Float32);
    }

    [Fact]
    public void ZClips_own_bound_holds_during_the_warm_up()
    {
        using var scope = NewDisposeScope();
        var clip = GradientClip.ZScore(warmup: 3, maxNorm: 2);
        foreach (double norm in new[] { 4.0, 1, 8 })
        {
            var p = Make.Parameter(full(1, norm, ScalarType.Float64));
            Assert.Equal(norm > 2 ? 2 / (norm + 1e-6) : 1, clip.Apply([p]).Coefficient, Tolerance.Float64);
        }
    }

    private static Tensor Sparse() => sparse_coo_tensor(tensor(new long[] { 0, 2 }, [1, 2]), ones(2), [4]);
}

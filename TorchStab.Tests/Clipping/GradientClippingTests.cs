using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Clipping;

public class GradientClippingTests
{
    [Theory]
    [InlineData(0.5)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(double.PositiveInfinity)]
    [InlineData(double.NegativeInfinity)]
    [InlineData(0)]
    public void The_total_norm_is_that_of_all_elements_together(double order)
    {
        using var scope = NewDisposeScope();
        Tensor[] tensors = [randn(3, 4, ScalarType.Float64), randn(5, ScalarType.Float64), randn(2, 3, 2, ScalarType.Float64)];
        double expected = linalg.vector_norm(cat([.. tensors.Select(t => t.flatten())]), order).item<double>();
        if (order == 0) expected = tensors.Length; // PyTorch: the norm of the norms counts tensors that are not zero
        Assert.Equal(expected, stab.nn.utils.get_total_norm(tensors, order), Tolerance.Float64 * expected);
    }

    [Theory]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    public void Half_types_do_not_overflow(ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        var p = Make.Parameter(full(10_000, 948.0, ScalarType.Float32).to(dtype));
        double element = p.grad!.to(ScalarType.Float64)[0].item<double>();
        Assert.Equal(100 * element, stab.nn.utils.clip_grad_norm_([p], 1), 100 * element * Tolerance.Float32);
        Assert.Equal(0.01, p.grad!.to(ScalarType.Float64)[0].item<double>(), 0.01 * Tolerance.Of(dtype));
    }

    [Theory]
    [InlineData(ScalarType.Float32, 1e30)]
    [InlineData(ScalarType.Float64, 1e300)]
    public void Huge_finite_gradients_are_clipped_not_lost(ScalarType dtype, double element)
    {
        using var scope = NewDisposeScope();
        var p = Make.Parameter(full(4, element, dtype));
        Assert.Equal(2 * element, stab.nn.utils.clip_grad_norm_([p], 1), 2 * element * Tolerance.Float32);
        Compare.Close(full(4, 0.5, dtype), p.grad, "gradient");
    }

    [Fact]
    public void Gradients_of_mixed_dtypes_are_measured_together()
    {
        using var scope = NewDisposeScope();
        Parameter[] parameters = [Make.Parameter(full(4, 1.0, ScalarType.Float64)), Make.Parameter(full(4, 2.0, ScalarType.Float32)),
            Make.Parameter(full(4, 4.0, ScalarType.BFloat16))];
        Assert.Equal(Math.Sqrt(4 + 16 + 64), stab.nn.utils.clip_grad_norm_(parameters, 1), Tolerance.Float32);
        Assert.Equal(1, stab.nn.utils.get_total_norm(parameters.Select(p => p.grad!)), Tolerance.BFloat16);
    }

    [Fact]
    public void The_two_halves_are_the_whole()
    {
        using var scope = NewDisposeScope();
        var a = Make.Parameter(randn(7));
        var b = Make.Parameter(a.grad!.clone());
        stab.nn.utils.clip_grad_norm_([a], 0.3, 3);
        stab.nn.utils.clip_grads_with_norm_([b], 0.3, stab.nn.utils.get_total_norm([b.grad!], 3));
        Compare.Identical(a.grad!, b.grad!, "gradient");
    }

    [Fact]
    public void Zero_gradients_stay_zero_whatever_the_threshold()
    {
        using var scope = NewDisposeScope();
        foreach (var clip in Make.Rules(0).Concat(Make.Rules(1)))
        {
            var p = Make.Parameter(zeros(3, 2));
            Assert.Equal(0, clip.Apply([p]).GradNorm);
            Compare.Identical(zeros(3, 2), p.grad!, "gradient");
        }
    }

    [Fact]
    public void Empty_and_missing_gradients_are_left_out()
    {
        using var scope = NewDisposeScope();
        var without = new Parameter(ones(2));
        Assert.Equal(0, stab.nn.utils.clip_grad_norm_([without], 1));
        Assert.Equal(0, stab.nn.utils.clip_grad_norm_([], 1));
        Assert.Equal(0, stab.nn.utils.get_total_norm([]));
        foreach (double order in new[] { 1, 2, double.PositiveInfinity })
            Assert.Equal(0, stab.nn.utils.clip_grad_norm_([Make.Parameter(zeros(0, 3))], 1, order));
        foreach (var clip in Make.Rules(1)) Assert.False(clip.Apply([without, Make.Parameter(zeros(0, 3))]).Clipped);
    }

    [Fact]
    public void Wrong_arguments_are_refused_before_anything_is_written()
    {
        using var scope = NewDisposeScope();
        var p = Make.Parameter(ones(2));
        Assert.Equal("max_norm", Assert.Throws<ArgumentException>(() => stab.nn.utils.clip_grad_norm_([p], -1)).ParamName);
        Assert.Equal("max_norm", Assert.Throws<ArgumentException>(() => stab.nn.utils.clip_grads_with_norm_([p], double.NaN, 1)).ParamName);
        Assert.Equal("norm_type", Assert.Throws<ArgumentException>(() => stab.nn.utils.clip_grad_norm_([p], 1, double.NaN)).ParamName);
        Assert.Equal("clip_value", Assert.Throws<ArgumentException>(() => stab.nn.utils.clip_grad_value_([p], -1)).ParamName);
        Assert.Equal("clipnorm", Assert.Throws<ArgumentException>(() => stab.nn.utils.clip_grad_norm_per_parameter_([p], -1)).ParamName);
        Assert.Equal("clip_factor", Assert.Throws<ArgumentException>(() => stab.nn.utils.adaptive_clip_grad_([p], -1)).ParamName);
        Assert.Throws<ArgumentNullException>(() => stab.nn.utils.clip_grad_norm_(null!, 1));
        Assert.Throws<ArgumentException>(() => stab.nn.utils.clip_grad_norm_([p, null!], 0.1));
        Compare.Identical(ones(2), p.grad!, "gradient");
    }

    [Fact]
    public void A_sparse_gradient_is_a_clear_error()
    {
        using var scope = NewDisposeScope();
        using var embedding = nn.Embedding(5, 3, sparse: true);
        var dense = Make.Parameter(ones(2));
        embedding.call(tensor(new long[] { 1, 3 })).mul(randn(2, 3)).sum().backward();
        var error = Assert.Throws<InvalidOperationException>(() => stab.nn.utils.clip_grad_norm_(embedding.parameters().Prepend(dense), 0.1));
        Assert.Contains("sparse", error.Message);
        Compare.Identical(ones(2), dense.grad!, "gradient");
        using var optimizer = stab.optim.SGD(embedding.named_parameters(), 0.1);
        Assert.Contains("weight", Assert.Throws<InvalidOperationException>(() => optimizer.step()).Message);
    }

    [Fact]
    public void No_tensor_is_left()
    {
        using var outer = NewDisposeScope();
        Parameter[] parameters = [Make.Parameter(randn(3, 4)), Make.Parameter(randn(4))];
        LiveTensors.AssertNoneLeft(() =>
        {
            stab.nn.utils.clip_grad_norm_(parameters, 0.5);
            stab.nn.utils.clip_grad_value_(parameters, 0.5);
            foreach (var clip in Make.Rules(0.1)) clip.Apply(parameters);
        });
    }
}

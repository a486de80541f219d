using System.Runtime.InteropServices;
using TorchStab.Dispatch;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Normalization;

/// <summary>What LayerNorm by kernel does in the autograd graph, under both plugs.</summary>
public class LayerNormNodeTests
{
    private const long Rows = 33, Columns = 50;

    public static TheoryData<string> Plugs => [.. Enum.GetNames<AutogradKind>()];

    [Theory]
    [MemberData(nameof(Plugs))]
    public void Gradients_agree_with_libtorchs_of_the_same_numbers_in_float64(string plug)
    {
        using var form = Form(plug);
        foreach (var dtype in new[] { ScalarType.Float32, ScalarType.Float64, ScalarType.BFloat16 })
        {
            foreach (var (rows, columns) in new (long, long)[] { (1, 64), (3, 17), (33, 50), (40, 768), (9, 2051), (300, 64) })
            {
                using var scope = NewDisposeScope();
                using var problem = new Problem(rows, columns, dtype);
                var ours = problem.Gradients(stab.nn.functional.layer_norm(problem.X, [columns], problem.Weight, problem.Bias));
                using var exact = problem.To(ScalarType.Float64);
                var theirs = exact.Gradients(nn.functional.layer_norm(exact.X, [columns], exact.Weight, exact.Bias));
                for (int i = 0; i < 3; i++) Compare.Close(theirs[i].to(dtype), ours[i], $"{plug} {dtype} {rows}×{columns} gradient {i}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Plugs))]
    public void An_input_changed_in_place_is_an_error_and_no_abort(string plug)
    {
        using var form = Form(plug);
        using var scope = NewDisposeScope();
        using var problem = new Problem(Rows, Columns);
        var x = problem.X * 2;
        var y = stab.nn.functional.layer_norm(x, [Columns], problem.Weight, problem.Bias);
        using (no_grad()) x.add_(1);
        var raised = Assert.Throws<ExternalException>(() => y.backward([problem.Upstream]));
        Assert.Contains("one of the variables needed for gradient computation has been modified by an inplace operation", raised.Message, StringComparison.Ordinal);
        stab.nn.functional.layer_norm(problem.X, [Columns], problem.Weight, problem.Bias).backward([problem.Upstream]);
        Assert.NotNull(problem.X.grad);
    }

    [Theory]
    [MemberData(nameof(Plugs))]
    public void An_output_changed_in_place_keeps_gradients_right(string plug)
    {
        using var form = Form(plug);
        using var scope = NewDisposeScope();
        using var problem = new Problem(Rows, Columns);
        var ours = problem.Gradients(stab.nn.functional.layer_norm(problem.X, [Columns], problem.Weight, problem.Bias).relu_());
        var theirs = problem.Gradients(nn.functional.layer_norm(problem.X, [Columns], problem.Weight, problem.Bias).relu());
        for (int i = 0; i < 3; i++) Compare.Close(theirs[i], ours[i], $"gradient {i}");
    }

    [Theory]
    [MemberData(nameof(Plugs))]
    public void Only_wanted_gradients_are_computed(string plug)
    {
        using var form = Form(plug);
        for (int wanted = 1; wanted < 8; wanted++)
        {
            using var scope = NewDisposeScope();
            using var problem = new Problem(Rows, Columns);
            Tensor[] inputs = [problem.X, problem.Weight, problem.Bias];
            for (int i = 0; i < 3; i++) inputs[i].requires_grad_((wanted & (1 << i)) != 0);
            stab.nn.functional.layer_norm(problem.X, [Columns], problem.Weight, problem.Bias).backward([problem.Upstream]);
            var ours = inputs.Select(t => t.grad?.clone()).ToArray();
            foreach (var t in inputs) t.grad = null;
            nn.functional.layer_norm(problem.X, [Columns], problem.Weight, problem.Bias).backward([problem.Upstream]);
            for (int i = 0; i < 3; i++) Compare.Close(inputs[i].grad, ours[i], $"wanted {wanted}, gradient {i}");
        }
    }

    [Theory]
    [MemberData(nameof(Plugs))]
    public void Missing_parameters_are_ones_and_zeros(string plug)
    {
        using var form = Form(plug);
        using var scope = NewDisposeScope();
        using var problem = new Problem(Rows, Columns);
        foreach (var (weight, bias) in new[] { (problem.Weight, (Tensor?)null), (null, problem.Bias), (null, null) })
        {
            Tensor[] inputs = [.. new[] { problem.X, weight, bias }.OfType<Tensor>()];
            var ours = autograd.grad([stab.nn.functional.layer_norm(problem.X, [Columns], weight, bias)], inputs, [problem.Upstream]);
            var theirs = autograd.grad([nn.functional.layer_norm(problem.X, [Columns], weight, bias)], inputs, [problem.Upstream]);
            for (int i = 0; i < inputs.Length; i++) Compare.Close(theirs[i], ours[i], $"gradient {i}");
        }
    }

    [Fact]
    public void The_result_does_not_depend_on_the_number_of_threads()
    {
        using var form = Form(nameof(AutogradKind.Pooled));
        using var scope = NewDisposeScope();
        using var problem = new Problem(517, 300);
        int threads = get_num_threads();
        var results = new List<Tensor[]>();
        foreach (int n in new[] { 1, 2, 3 })
        {
            set_num_threads(n);
            var y = stab.nn.functional.layer_norm(problem.X, [300], problem.Weight, problem.Bias);
            results.Add([y.detach(), .. problem.Gradients(y)]);
        }
        set_num_threads(threads);
        foreach (var result in results)
            for (int i = 0; i < result.Length; i++) Compare.Identical(results[0][i], result[i], $"result {i}");
    }

    private static KernelForm Form(string plug) => KernelForm.Kernel(Enum.Parse<AutogradKind>(plug));

    /// <summary>Random inputs that want gradients, and a random upstream gradient.</summary>
    private sealed class Problem(Tensor x, Tensor weight, Tensor bias, Tensor upstream) : IDisposable
    {
        public Problem(long rows, long columns, ScalarType dtype = ScalarType.Float32)
            : this(Leaf(randn(rows, columns) + 0.5, dtype), Leaf(rand(columns) + 0.5, dtype), Leaf(randn(columns), dtype), randn(rows, columns).to(dtype))
        {
        }

        public Tensor X => x;

        public Tensor Weight => weight;

        public Tensor Bias => bias;

        public Tensor Upstream => upstream;

        public Problem To(ScalarType dtype) => new(Leaf(x, dtype), Leaf(weight, dtype), Leaf(bias, dtype), upstream.to(dtype));

        public IList<Tensor> Gradients(Tensor y) => autograd.grad([y], [X, Weight, Bias], [Upstream]);

        public void Dispose()
        {
            foreach (var t in new[] { x, weight, bias, upstream }) t.Dispose();
        }

        private static Tensor Leaf(Tensor values, ScalarType dtype) => values.detach().to(dtype, copy: true).requires_grad_(true);
    }
}

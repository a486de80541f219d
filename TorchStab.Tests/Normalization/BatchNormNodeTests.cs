using System.Runtime.InteropServices;
using TorchStab.Dispatch;
using TorchStab.Normalization;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Normalization;

/// <summary>What BatchNorm and BatchNormReLU by kernel do in the autograd graph, under both plugs and in every layout.</summary>
public class BatchNormNodeTests
{
    private static readonly long[][] Shapes = [[4, 3, 5, 5], [16, 7, 7, 7], [3, 40, 14, 14], [20, 6], [2, 5, 300], [2, 3, 4, 5, 6], [33, 70, 2, 2]];

    public static TheoryData<string, bool> Plugs
    {
        get
        {
            var data = new TheoryData<string, bool>();
            foreach (string plug in Enum.GetNames<AutogradKind>())
                foreach (bool relu in new[] { false, true }) data.Add(plug, relu);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Plugs))]
    public void Gradients_agree_with_libtorchs_of_the_same_numbers_in_float64(string plug, bool relu)
    {
        using var form = Form(plug);
        foreach (var dtype in new[] { ScalarType.Float32, ScalarType.Float64, ScalarType.BFloat16 })
        {
            foreach (long[] shape in Shapes)
            {
                foreach (bool training in new[] { true, false })
                {
                    using var scope = NewDisposeScope();
                    using var problem = new Problem(shape, dtype);
                    var ours = problem.Gradients(problem.Ours(training, relu));
                    using var exact = problem.To(ScalarType.Float64);
                    var theirs = exact.Gradients(exact.Theirs(training, relu));
                    for (int i = 0; i < 3; i++) Compare.Close(theirs[i].to(dtype), ours[i], $"{dtype} [{string.Join(", ", shape)}] {training} gradient {i}");
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Plugs))]
    public void Channels_last_agrees_with_contiguous(string plug, bool relu)
    {
        using var form = Form(plug);
        foreach (long[] shape in new long[][] { [4, 3, 5, 5], [2, 64, 9, 8], [3, 100, 7, 7] })
        {
            using var scope = NewDisposeScope();
            using var problem = new Problem(shape, ScalarType.Float32);
            using var last = problem.To(ScalarType.Float32, channelsLast: true);
            Assert.False(last.X.is_contiguous());
            var (output, expected) = (last.Ours(true, relu), problem.Ours(true, relu));
            Assert.Equal(last.X.stride(), output.stride());
            Compare.Close(expected, output, "output");
            var (ours, theirs) = (last.Gradients(output), problem.Gradients(expected));
            Assert.Equal(last.X.stride(), ours[0].stride());
            for (int i = 0; i < 3; i++) Compare.Close(theirs[i], ours[i], $"gradient {i}");
        }
    }

    [Theory]
    [MemberData(nameof(Plugs))]
    public void Rows_of_channels_with_gaps_agree_with_contiguous(string plug, bool relu)
    {
        using var form = Form(plug);
        using var scope = NewDisposeScope();
        using var problem = new Problem([4, 6, 5, 8], ScalarType.Float32);
        using var last = problem.To(ScalarType.Float32, channelsLast: true);
        foreach (var part in new Func<Tensor, Tensor>[] { t => t[.., .., .., ..5], t => t[.., .., 1..4], t => t[1..3] })
        {
            var (expected, actual) = (part(problem.X).contiguous(), part(last.X));
            var (theirs, ours) = (problem.Ours(expected, true, relu), problem.Ours(actual, true, relu));
            Compare.Close(theirs, ours, "output");
            // The upstream gradient comes in gaps too.
            var upstream = part(last.Upstream.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2));
            Compare.Close(autograd.grad([theirs], [expected], [upstream.contiguous()])[0], autograd.grad([ours], [actual], [upstream])[0], "gradient");
            var dense = part(last.X.detach()).clone().requires_grad_(true);
            Compare.Close(autograd.grad([problem.Ours(expected, true, relu)], [expected], [upstream.contiguous()])[0],
                autograd.grad([problem.Ours(dense, true, relu)], [dense], [upstream])[0], "gradient of a dense input");
        }
    }

    [Theory]
    [MemberData(nameof(Plugs))]
    public void Second_derivatives_agree_with_libtorch(string plug, bool relu)
    {
        using var form = Form(plug);
        foreach (bool training in new[] { true, false })
        {
            using var scope = NewDisposeScope();
            using var problem = new Problem([4, 3, 5, 5], ScalarType.Float64);
            problem.Upstream.requires_grad_(true);
            var seconds = new[] { problem.Ours(training, relu), problem.Theirs(training, relu) }.Select(problem.SecondGradients).ToArray();
            for (int i = 0; i < seconds[0].Count; i++) Compare.Close(seconds[1][i], seconds[0][i], $"second gradient {i}", Tolerance.SecondDerivative);
        }
    }

    [Theory]
    [MemberData(nameof(Plugs))]
    public void An_input_changed_in_place_is_an_error_and_no_abort(string plug, bool relu)
    {
        using var form = Form(plug);
        using var scope = NewDisposeScope();
        using var problem = new Problem([4, 3, 5, 5], ScalarType.Float32);
        var x = problem.X * 2;
        var y = problem.Ours(x, true, relu);
        using (no_grad()) x.add_(1);
        var raised = Assert.Throws<ExternalException>(() => y.backward([problem.Upstream]));
        Assert.Contains("one of the variables needed for gradient computation has been modified by an inplace operation", raised.Message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Plugs))]
    public void An_output_changed_in_place_keeps_gradients_right(string plug, bool relu)
    {
        using var form = Form(plug);
        using var scope = NewDisposeScope();
        using var problem = new Problem([4, 3, 5, 5], ScalarType.Float32);
        var ours = problem.Gradients(problem.Ours(true, relu).mul_(2).relu_());
        var theirs = problem.Gradients((problem.Theirs(true, relu) * 2).relu());
        for (int i = 0; i < 3; i++) Compare.Close(theirs[i], ours[i], $"gradient {i}");
    }

    [Fact]
    public void The_result_does_not_depend_on_the_number_of_threads()
    {
        using var form = Form(nameof(AutogradKind.Pooled));
        int threads = get_num_threads();
        foreach (bool last in new[] { false, true })
        {
            foreach (long[] shape in new long[][] { [8, 30, 20, 20], [16, 200, 7, 7] })
            {
                using var scope = NewDisposeScope();
                using var plain = new Problem(shape, ScalarType.Float32);
                using var problem = plain.To(ScalarType.Float32, last);
                var results = new List<Tensor[]>();
                foreach (int n in new[] { 1, 2, 3 })
                {
                    set_num_threads(n);
                    var y = problem.Ours(true, relu: false);
                    results.Add([y.detach(), .. problem.Gradients(y)]);
                }
                set_num_threads(threads);
                foreach (var result in results)
                    for (int i = 0; i < result.Length; i++) Compare.Identical(results[0][i], result[i], $"result {i}");
            }
        }
    }

    private static KernelForm Form(string plug) => KernelForm.Kernel(Enum.Parse<AutogradKind>(plug));

    /// <summary>Random inputs that want gradients, running statistics and a random upstream gradient.</summary>
    private sealed class Problem(Tensor x, Tensor weight, Tensor bias, Tensor mean, Tensor variance, Tensor upstream) : IDisposable
    {
        public Problem(long[] shape, ScalarType dtype)
            : this(Leaf(randn(shape) + 0.5, dtype), Leaf(rand(shape[1]) + 0.5, dtype), Leaf(randn(shape[1]), dtype),
                randn(shape[1]).to(Statistics(dtype)), (rand(shape[1]) + 0.5).to(Statistics(dtype)), randn(shape).to(dtype))
        {
        }

        public Tensor X => x;

        public Tensor Upstream => upstream;

        public Problem To(ScalarType dtype, bool channelsLast = false) => new(
            channelsLast ? x.detach().permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2).requires_grad_(true) : Leaf(x, dtype),
            Leaf(weight, dtype), Leaf(bias, dtype), mean.to(Statistics(dtype), copy: true), variance.to(Statistics(dtype), copy: true), upstream.to(dtype, copy: true));

        public Tensor Ours(bool training, bool relu) => Ours(x, training, relu);

        // Evaluated behind the checks, which refuse bfloat16 parameters beside float32 statistics.
        public Tensor Ours(Tensor input, bool training, bool relu)
        {
            var arguments = new ChannelNormArguments(input, training ? default : new(mean, variance), weight, bias, 1e-5, training) { Relu = relu };
            return training ? BatchNormFunctional.Apply(arguments) : BatchNormFunctional.Evaluate(arguments);
        }

        public Tensor Theirs(bool training, bool relu)
        {
            var y = nn.functional.batch_norm(x, mean.clone().to(x.dtype), variance.clone().to(x.dtype), weight, bias, training);
            return relu ? y.relu() : y;
        }

        public IList<Tensor> Gradients(Tensor y) => autograd.grad([y], [x, weight, bias], [upstream]);

        public IList<Tensor> SecondGradients(Tensor y)
        {
            var first = autograd.grad([y], [x, weight], [upstream], retain_graph: true, create_graph: true);
            return autograd.grad([(first[0] * x.detach().sin()).sum() + (first[1] * weight.detach()).sum()], [x, upstream], retain_graph: true);
        }

        public void Dispose()
        {
            foreach (var t in new[] { x, weight, bias, mean, variance, upstream }) t.Dispose();
        }

        private static ScalarType Statistics(ScalarType dtype) => dtype == ScalarType.Float64 ? dtype : ScalarType.Float32;

        private static Tensor Leaf(Tensor values, ScalarType dtype) => values.detach().to(dtype, copy: true).requires_grad_(true);
    }
}

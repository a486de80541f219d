using System.Runtime.InteropServices;
using TorchStab.Dispatch;
using TorchStab.Normalization;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Normalization;

/// <summary>What every norm by kernel does in the autograd graph, under both plugs and in every layout: held to libtorch's of the same numbers.</summary>
public class NormNodeTests
{
    private static readonly long[][] Rows = [[1, 64], [3, 17], [33, 50], [40, 768], [9, 2051], [300, 64]],
    Groups = [[4, 6, 5, 5], [2, 12, 300], [3, 6, 4, 5, 6], [16, 6, 7, 7]],
        Channels = [[4, 3, 5, 5], [16, 7, 7, 7], [3, 40, 14, 14], [20, 6], [2, 5, 300], [2, 3, 4, 5, 6], [33, 70, 2, 2]],
        Images = [[4, 3, 5, 5], [16, 7, 7, 7], [3, 40, 14, 14], [2, 300, 9, 30], [20, 6, 1, 1]];

    private delegate Tensor Norm(Tensor x, Tensor? weight, Tensor? bias);

    /// <summary>
    /// A norm, libtorch's, and shapes that take each of the kernel's ways; the middle one of <paramref name="Shapes"/> serves tests of one shape.
    /// </summary>
    private sealed record Op(Norm Ours, Norm Theirs, long[][] Shapes, int ParameterDim = 1, bool HasBias = true, bool ChannelsLast = false)
    {
        public long[] Shape => Shapes[Shapes.Length / 2];

        public Problem Draw(ScalarType dtype = ScalarType.Float32, long[]? shape = null) => Problem.Draw(shape ?? Shape, ParameterDim, HasBias, dtype);
    }

    private static readonly Dictionary<string, Op> Ops = new()
    {
        ["LayerNorm"] = new((x, w, b) => stab.nn.functional.layer_norm(x, [x.size(-1)], w, b), (x, w, b) => nn.functional.layer_norm(x, [x.size(-1)], w, b),
            Rows, ParameterDim: -1),
        ["LayerNorm2d"] = new((x, w, b) => LayerNorm2dFunctional.Apply(x, x.size(1), w, b, 1e-5, mask: null),
            (x, w, b) => nn.functional.layer_norm(x.permute(0, 2, 3, 1), [x.size(1)], w, b).permute(0, 3, 1, 2), Images, ChannelsLast: true),
        ["RMSNorm"] = new((x, w, _) => stab.nn.functional.rms_norm(x, [x.size(-1)], w, 1e-5),
            (x, w, _) => x * (x.square().mean([-1], keepdim: true) + 1e-5).rsqrt() * (w ?? ones(1, x.dtype)), Rows, ParameterDim: -1, HasBias: false),
        ["GroupNorm"] = new((x, w, b) => stab.nn.functional.group_norm(x, 3, w, b), (x, w, b) => nn.functional.group_norm(x, 3, w, b), Groups),
        ["InstanceNorm"] = new((x, w, b) => stab.nn.functional.instance_norm(x, null, null, w, b),
            (x, w, b) => nn.functional.instance_norm(x, null!, null!, w!, b!), Groups),
        ["BatchNorm"] = Batch(training: true, relu: false),
        ["BatchNormReLU"] = Batch(training: true, relu: true),
        ["BatchNorm in eval mode"] = Batch(training: false, relu: false),
        ["BatchNormReLU in eval mode"] = Batch(training: false, relu: true),
    };

    public static TheoryData<string, string> Nodes => All(_ => true);

    public static TheoryData<string, string> NodesOfChannelsLast => All(op => op.ChannelsLast);

    public static TheoryData<string> Names => [.. Ops.Keys];

    [Theory]
    [MemberData(nameof(Nodes))]
    public void Gradients_agree_with_libtorchs_of_the_same_numbers_in_float64(string name, string plug)
    {
        using var form = KernelForm.Kernel(Enum.Parse<AutogradKind>(plug));
        var op = Ops[name];
        foreach (var dtype in new[] { ScalarType.Float32, ScalarType.Float64, ScalarType.BFloat16 })
        {
            foreach (long[] shape in op.Shapes)
            {
                using var scope = NewDisposeScope();
                Problem problem = op.Draw(dtype, shape), exact = problem.To(ScalarType.Float64);
                Same(exact.Gradients(op.Theirs), problem.Gradients(op.Ours), $"{dtype} [{string.Join(", ", shape)}]", dtype);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Nodes))]
    public void Only_wanted_gradients_are_computed(string name, string plug)
    {
        using var form = KernelForm.Kernel(Enum.Parse<AutogradKind>(plug));
        for (int wanted = 1; wanted < 8; wanted++)
        {
            using var scope = NewDisposeScope();
            var problem = Ops[name].Draw();
            for (int i = 0; i < problem.Inputs.Length; i++) problem.Inputs[i].requires_grad_((wanted & (1 << i)) != 0);
            if (!Array.Exists(problem.Inputs, t => t.requires_grad)) continue;
            var (theirs, ours) = (Leaves(Ops[name].Theirs), Leaves(Ops[name].Ours));
            for (int i = 0; i < ours.Length; i++) Compare.Close(theirs[i], ours[i], $"wanted {wanted}, gradient {i}");

            Tensor?[] Leaves(Norm norm)
            {
                problem.Apply(norm).backward([problem.Upstream]);
                Tensor?[] gradients = [.. problem.Inputs.Select(t => t.grad?.clone())];
                foreach (var t in problem.Inputs) t.grad = null;
                return gradients;
            }
        }
    }

    [Theory]
    [MemberData(nameof(Nodes))]
    public void Missing_parameters_are_ones_and_zeros(string name, string plug)
    {
        using var form = KernelForm.Kernel(Enum.Parse<AutogradKind>(plug));
        using var scope = NewDisposeScope();
        var all = Ops[name].Draw();
        // libtorch's group_norm with a bias alone ends the process in its backward pass: the ones and zeros are written out there.
        Norm theirs = (x, w, b) => Ops[name].Theirs(x, w ?? ones_like(all.Weight!), b ?? zeros_like(all.Weight!));
        foreach (var problem in new[] { all with { Bias = null }, all with { Weight = null }, all with { Weight = null, Bias = null } })
            Same(problem.Gradients(theirs), problem.Gradients(Ops[name].Ours), $"{problem.Inputs.Length} inputs");
    }

    [Theory]
    [MemberData(nameof(Nodes))]
    public void Second_derivatives_agree_with_libtorch(string name, string plug)
    {
        using var form = KernelForm.Kernel(Enum.Parse<AutogradKind>(plug));
        using var scope = NewDisposeScope();
        var problem = Ops[name].Draw(ScalarType.Float64);
        var (theirs, ours) = (problem.SecondGradients(Ops[name].Theirs), problem.SecondGradients(Ops[name].Ours));
        for (int i = 0; i < ours.Count; i++) Compare.Close(theirs[i], ours[i], $"second gradient {i}", Tolerance.SecondDerivative);
    }

    [Theory]
    [MemberData(nameof(Nodes))]
    public void An_input_changed_in_place_is_an_error_and_no_abort(string name, string plug)
    {
        using var form = KernelForm.Kernel(Enum.Parse<AutogradKind>(plug));
        using var scope = NewDisposeScope();
        var problem = Ops[name].Draw();
        var x = problem.X * 2;
        var y = Ops[name].Ours(x, problem.Weight, problem.Bias);
        using (no_grad()) x.add_(1);
        var raised = Assert.Throws<ExternalException>(() => y.backward([problem.Upstream]));
        Assert.Contains("one of the variables needed for gradient computation has been modified by an inplace operation", raised.Message,
            StringComparison.Ordinal);
        problem.Apply(Ops[name].Ours).backward([problem.Upstream]);
        Assert.NotNull(problem.X.grad);
    }

    [Theory]
    [MemberData(nameof(Nodes))]
    public void An_output_changed_in_place_keeps_gradients_right(string name, string plug)
    {
        using var form = KernelForm.Kernel(Enum.Parse<AutogradKind>(plug));
        using var scope = NewDisposeScope();
        var (op, problem) = (Ops[name], Ops[name].Draw());
        Same(problem.Gradients((x, w, b) => (op.Theirs(x, w, b) * 2).relu()), problem.Gradients((x, w, b) => op.Ours(x, w, b).mul_(2).relu_()),
            "changed in place");
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void The_result_does_not_depend_on_the_number_of_threads(string name)
    {
        using var form = KernelForm.Kernel(AutogradKind.Pooled);
        var op = Ops[name];
        long[][] shapes = op.ParameterDim == -1 ? [[517, 300]] : op.ChannelsLast ? [[8, 30, 20, 20], [16, 200, 7, 7]] : [[9, 12, 20, 21]];
        int threads = get_num_threads();
        foreach (long[] shape in shapes)
        {
            foreach (bool last in op.ChannelsLast ? new[] { false, true } : [false])
            {
                using var scope = NewDisposeScope();
                var problem = op.Draw(shape: shape).To(ScalarType.Float32, last);
                var results = new List<Tensor[]>();
                foreach (int n in new[] { 1, 2, 3 })
                {
                    set_num_threads(n);
                    results.Add([problem.Apply(op.Ours).detach(), .. problem.Gradients(op.Ours)]);
                }
                set_num_threads(threads);
                foreach (var result in results)
                    for (int i = 0; i < result.Length; i++) Compare.Identical(results[0][i], result[i], $"result {i}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(NodesOfChannelsLast))]
    public void Channels_last_agrees_with_contiguous(string name, string plug)
    {
        using var form = KernelForm.Kernel(Enum.Parse<AutogradKind>(plug));
        foreach (long[] shape in new long[][] { [4, 3, 5, 5], [2, 64, 9, 8], [3, 100, 7, 7] })
        {
            using var scope = NewDisposeScope();
            Problem problem = Ops[name].Draw(shape: shape), last = problem.To(ScalarType.Float32, channelsLast: true);
            Assert.False(last.X.is_contiguous());
            var output = last.Apply(Ops[name].Ours);
            Assert.Equal(last.X.stride(), output.stride());
            Compare.Close(problem.Apply(Ops[name].Ours), output, "output");
            var gradients = last.Gradients(Ops[name].Ours);
            Assert.Equal(last.X.stride(), gradients[0].stride());
            Same(problem.Gradients(Ops[name].Ours), gradients, "channels last");
        }
    }

    [Theory]
    [MemberData(nameof(NodesOfChannelsLast))]
    public void Rows_of_channels_with_gaps_agree_with_contiguous(string name, string plug)
    {
        using var form = KernelForm.Kernel(Enum.Parse<AutogradKind>(plug));
        using var scope = NewDisposeScope();
        Problem problem = Ops[name].Draw(shape: [4, 6, 5, 8]), last = problem.To(ScalarType.Float32, channelsLast: true);
        foreach (var part in new Func<Tensor, Tensor>[] { t => t[.., .., .., ..5], t => t[.., .., 1..4], t => t[1..3] })
        {
            // The upstream gradient comes in gaps too.
            var upstream = part(last.Upstream.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2));
            var contiguous = problem with { X = part(problem.X).contiguous().detach().requires_grad_(true), Upstream = upstream.contiguous() };
            var gaps = last with { X = part(last.X), Upstream = upstream };
            var dense = last with { X = part(last.X.detach()).clone().requires_grad_(true), Upstream = upstream };
            Compare.Close(contiguous.Apply(Ops[name].Ours), gaps.Apply(Ops[name].Ours), "output");
            Same(contiguous.Gradients(Ops[name].Ours), gaps.Gradients(Ops[name].Ours), "gaps");
            Same(contiguous.Gradients(Ops[name].Ours), dense.Gradients(Ops[name].Ours), "dense input");
        }
    }

    private static TheoryData<string, string> All(Predicate<Op> selects)
    {
        var data = new TheoryData<string, string>();
        foreach (var (name, op) in Ops)
            foreach (string plug in selects(op) ? Enum.GetNames<AutogradKind>() : []) data.Add(name, plug);
        return data;
    }

    // Behind the checks, which refuse bfloat16 parameters beside float32 statistics.
    private static Op Batch(bool training, bool relu)
    {
        return new(Ours, Theirs, Channels, ChannelsLast: true);

        Tensor Ours(Tensor x, Tensor? weight, Tensor? bias)
        {
            var (mean, variance) = Statistics(x, x.dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32);
            var arguments = new ChannelNormArguments(x, training ? default : new(mean, variance), weight, bias, 1e-5, training) { Relu = relu };
            return training ? BatchNormFunctional.Apply(arguments) : BatchNormFunctional.Evaluate(arguments);
        }

        Tensor Theirs(Tensor x, Tensor? weight, Tensor? bias)
        {
            var (mean, variance) = Statistics(x, x.dtype);
            var y = nn.functional.batch_norm(x, mean, variance, weight!, bias!, training);
            return relu ? y.relu() : y;
        }

        // Numbers that every dtype holds.
        static (Tensor Mean, Tensor Variance) Statistics(Tensor x, ScalarType dtype)
        {
            var c = arange(x.size(1), dtype: ScalarType.Float64);
            return ((c.remainder(5) * 0.25 - 0.5).to(dtype), (c.remainder(3) * 0.5 + 0.5).to(dtype));
        }
    }

    private static void Same(IList<Tensor> expected, IList<Tensor> actual, string what, ScalarType? dtype = null)
    {
        for (int i = 0; i < actual.Count; i++) Compare.Close(dtype is { } d ? expected[i].to(d) : expected[i], actual[i], $"{what}: gradient {i}");
    }

    /// <summary>Random inputs that want gradients, and a random upstream gradient; the caller's scope owns them.</summary>
    private sealed record Problem(Tensor X, Tensor? Weight, Tensor? Bias, Tensor Upstream)
    {
        public static Problem Draw(long[] shape, int parameterDim, bool hasBias, ScalarType dtype)
        {
            long size = parameterDim < 0 ? shape[^1] : shape[parameterDim];
            return new(Leaf(randn(shape) + 0.5, dtype), Leaf(rand(size) + 0.5, dtype), hasBias ? Leaf(randn(size), dtype) : null, randn(shape).to(dtype));
        }

        public Tensor[] Inputs => [.. new[] { X, Weight, Bias }.OfType<Tensor>()];

        public Problem To(ScalarType dtype, bool channelsLast = false) => new(
            channelsLast ? X.detach().permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2).requires_grad_(true) : Leaf(X, dtype),
            Weight is null ? null : Leaf(Weight, dtype), Bias is null ? null : Leaf(Bias, dtype), Upstream.to(dtype, copy: true));

        public Tensor Apply(Norm norm) => norm(X, Weight, Bias);

        public IList<Tensor> Gradients(Norm norm) => autograd.grad([Apply(norm)], Inputs, [Upstream]);

        public IList<Tensor> SecondGradients(Norm norm)
        {
            var upstream = Upstream.detach().requires_grad_(true);
            var first = autograd.grad([Apply(norm)], [X, Weight!], [upstream], retain_graph: true, create_graph: true);
            return autograd.grad([(first[0] * X.detach().sin()).sum() + (first[1] * Weight!.detach()).sum()], [X, upstream], retain_graph: true);
        }

        private static Tensor Leaf(Tensor values, ScalarType dtype) => values.detach().to(dtype, copy: true).requires_grad_(true);
    }
}

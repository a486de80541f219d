using System.Runtime.InteropServices;
using TorchStab.Dispatch;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Normalization;

/// <summary>What GroupNorm and InstanceNorm by kernel do in the autograd graph, under both plugs.</summary>
public class GroupNormNodeTests
{
    private static readonly long[][] Shapes = [[4, 6, 5, 5], [2, 12, 300], [3, 6, 4, 5, 6], [16, 6, 7, 7]];

    public static TheoryData<string> Plugs => [.. Enum.GetNames<AutogradKind>()];

    [Theory]
    [MemberData(nameof(Plugs))]
    public void Gradients_agree_with_libtorchs_of_the_same_numbers_in_float64(string plug)
    {
        using var form = Form(plug);
        foreach (var dtype in new[] { ScalarType.Float32, ScalarType.Float64, ScalarType.BFloat16 })
        {
            foreach (long[] shape in Shapes)
            {
                foreach (bool instance in new[] { false, true })
                {
                    using var scope = NewDisposeScope();
                    Tensor[] inputs = Inputs(shape, dtype), exact = [.. inputs.Select(t => Leaf(t, ScalarType.Float64))];
                    var upstream = randn(shape).to(dtype);
                    var ours = autograd.grad([Ours(inputs, instance)], inputs, [upstream]);
                    var theirs = autograd.grad([Theirs(exact, instance)], exact, [upstream.to(ScalarType.Float64)]);
                    for (int i = 0; i < 3; i++) Compare.Close(theirs[i].to(dtype), ours[i], $"{dtype} [{string.Join(", ", shape)}] {instance} gradient {i}");
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Plugs))]
    public void An_input_changed_in_place_is_an_error_and_no_abort(string plug)
    {
        using var form = Form(plug);
        foreach (bool instance in new[] { false, true })
        {
            using var scope = NewDisposeScope();
            Tensor[] inputs = Inputs([4, 6, 5, 5], ScalarType.Float32);
            var x = inputs[0] * 2;
            var y = Ours([x, inputs[1], inputs[2]], instance);
            using (no_grad()) x.add_(1);
            var raised = Assert.Throws<ExternalException>(() => y.sum().backward());
            Assert.Contains("one of the variables needed for gradient computation has been modified by an inplace operation", raised.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [MemberData(nameof(Plugs))]
    public void An_output_changed_in_place_keeps_gradients_right(string plug)
    {
        using var form = Form(plug);
        foreach (bool instance in new[] { false, true })
        {
            using var scope = NewDisposeScope();
            Tensor[] inputs = Inputs([4, 6, 5, 5], ScalarType.Float32);
            var upstream = randn(4, 6, 5, 5);
            var ours = autograd.grad([Ours(inputs, instance).mul_(2).relu_()], inputs, [upstream]);
            var theirs = autograd.grad([(Theirs(inputs, instance) * 2).relu()], inputs, [upstream]);
            for (int i = 0; i < 3; i++) Compare.Close(theirs[i], ours[i], $"gradient {i}");
        }
    }

    [Fact]
    public void The_result_does_not_depend_on_the_number_of_threads()
    {
        using var form = Form(nameof(AutogradKind.Pooled));
        using var scope = NewDisposeScope();
        int threads = get_num_threads();
        Tensor[] inputs = Inputs([9, 12, 20, 21], ScalarType.Float32);
        var upstream = randn(9, 12, 20, 21);
        foreach (bool instance in new[] { false, true })
        {
            var results = new List<Tensor[]>();
            foreach (int n in new[] { 1, 2, 3 })
            {
                set_num_threads(n);
                var y = Ours(inputs, instance);
                results.Add([y.detach(), .. autograd.grad([y], inputs, [upstream])]);
            }
            set_num_threads(threads);
            foreach (var result in results)
                for (int i = 0; i < result.Length; i++) Compare.Identical(results[0][i], result[i], $"result {i}");
        }
    }

    private static KernelForm Form(string plug) => KernelForm.Kernel(Enum.Parse<AutogradKind>(plug));

    private static Tensor Ours(Tensor[] inputs, bool instance) => instance
        ? stab.nn.functional.instance_norm(inputs[0], null, null, inputs[1], inputs[2])
        : stab.nn.functional.group_norm(inputs[0], 3, inputs[1], inputs[2]);

    private static Tensor Theirs(Tensor[] inputs, bool instance) => instance
        ? nn.functional.instance_norm(inputs[0], null, null, inputs[1], inputs[2])
        : nn.functional.group_norm(inputs[0], 3, inputs[1], inputs[2]);

    private static Tensor[] Inputs(long[] shape, ScalarType dtype) =>
        [Leaf(randn(shape) + 0.5, dtype), Leaf(rand(shape[1]) + 0.5, dtype), Leaf(randn(shape[1]), dtype)];

    private static Tensor Leaf(Tensor values, ScalarType dtype) => values.detach().to(dtype, copy: true).requires_grad_(true);
}

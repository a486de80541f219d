using TorchStab.Normalization;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Normalization;

/// <summary>float32 kernels against the formula in float64 on the same numbers: at least as near as libtorch, and near where libtorch is not.</summary>
public class NormAccuracyTests
{
    /// <summary>Two ulp of the largest output: below it, which side is nearer is chance.</summary>
    private const double Chance = 2.4e-7;

    public static TheoryData<string> Ops => ["layer", "layer of channels", "batch", "batch rows", "group", "instance"];

    [Theory]
    [MemberData(nameof(Ops))]
    public void Outputs_are_at_least_as_accurate_as_libtorchs(string op)
    {
        foreach (var (mean, deviation) in new[] { (0.0, 1.0), (3.0, 1.0), (100.0, 1.0), (1e4, 1e-2) })
        {
            using var scope = NewDisposeScope();
            using var form = KernelForm.Kernel();
            var x = (randn(8, 32, 14, 14) * deviation + mean).to(ScalarType.Float32);
            if (op == "batch rows") x = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2);
            var exact = Ours(op, x.to(ScalarType.Float64));
            double ours = Error(exact, Ours(op, x)), theirs = Error(exact, Theirs(op, x));
            Assert.True(ours <= Math.Max(theirs, Chance), $"{op}, mean {mean}: off by {ours:g3}, libtorch by {theirs:g3}");
            Assert.True(ours <= Tolerance.LargeMean, $"{op}, mean {mean}: off by {ours:g3}");
        }
    }

    private static double Error(Tensor exact, Tensor actual) =>
        ((actual.to(ScalarType.Float64) - exact).abs().max() / exact.abs().max()).item<double>();

    private static Tensor Ours(string op, Tensor x) => op switch
    {
        "layer" => stab.nn.functional.layer_norm(x, [14, 14], eps: 1e-12),
        "layer of channels" => LayerNorm2dFunctional.Apply(x, 32, null, null, 1e-12, mask: null),
        "group" => stab.nn.functional.group_norm(x, 8, eps: 1e-12),
        "instance" => stab.nn.functional.instance_norm(x, eps: 1e-12),
        _ => stab.nn.functional.batch_norm(x, null, null, training: true, eps: 1e-12),
    };

    private static Tensor Theirs(string op, Tensor x) => op switch
    {
        "layer" => nn.functional.layer_norm(x, [14, 14], eps: 1e-12),
        "layer of channels" => nn.functional.layer_norm(x.permute(0, 2, 3, 1), [32], eps: 1e-12).permute(0, 3, 1, 2),
        "group" => nn.functional.group_norm(x, 8, eps: 1e-12),
        "instance" => nn.functional.instance_norm(x, eps: 1e-12),
        _ => nn.functional.batch_norm(x, zeros(32), ones(32), training: true, eps: 1e-12),
    };
}

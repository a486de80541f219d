using TorchStab.Dispatch;
using TorchStab.Tests.Support;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace TorchStab.Tests.Normalization;

/// <summary>
/// Norms in libtorch's fused operations, forced on the CPU: what devices without kernels run. All tests of the norms also run in this form (MachineFormTests);
/// here is what only it has.
/// </summary>
public class NativeNormTests(ITestOutputHelper log)
{
    [Theory]
    [InlineData(NativeNorm.Batch)]
    [InlineData(NativeNorm.Group)]
    [InlineData(NativeNorm.Layer)]
    [InlineData(NativeNorm.RMS)]
    internal void The_operations_give_the_equations_numbers(NativeNorm norm)
    {
        using var x = ones(1);
        Assert.True(NativeProbe.Works(norm, x));
    }

    public static TheoryData<string, int, int> Counts => new()
    {
        { "BatchNorm2d", 5, 2 },
        { "BatchNorm2d in eval mode", 3, 2 },
        { "BatchNorm2d without statistics", 1, 1 },
        { "BatchNormReLU2d", 5, 2 },
        { "LayerNorm", 1, 1 },
        { "LayerNorm of bfloat16 with float32 parameters", 3, 3 },
        { "GroupNorm", 1, 1 },
        { "InstanceNorm2d", 1, 1 },
        { "RMSNorm", 1, 9 }, // the CPU has no operation for its gradients
        { "BatchRenorm2d", 28, 6 },
    };

    /// <summary>A launch on a GPU costs as much as the arithmetic of a small layer.</summary>
    [TracedTheory]
    [MemberData(nameof(Counts))]
    public void A_training_step_takes_few_operations(string name, int forward, int backward)
    {
        using var form = KernelForm.Native(AutogradKind.Pooled); // Function<T> has operations of its own
        using var scope = NewDisposeScope();
        bool half = name.Contains("bfloat16", StringComparison.Ordinal);
        using nn.Module<Tensor, Tensor> norm = name switch
        {
            "BatchNorm2d without statistics" => stab.nn.BatchNorm2d(8, track_running_stats: false),
            "BatchNormReLU2d" => stab.nn.BatchNormReLU2d(8),
            "BatchRenorm2d" => stab.nn.BatchRenorm2d(8),
            "GroupNorm" => stab.nn.GroupNorm(2, 8),
            "InstanceNorm2d" => stab.nn.InstanceNorm2d(8, affine: true),
            "RMSNorm" => stab.nn.RMSNorm(6),
            _ => name.StartsWith("LayerNorm", StringComparison.Ordinal) ? stab.nn.LayerNorm(6) : stab.nn.BatchNorm2d(8),
        };
        if (name.EndsWith("eval mode", StringComparison.Ordinal)) norm.eval();
        var x = randn(4, 8, 6, 6).to(half ? ScalarType.BFloat16 : ScalarType.Float32).requires_grad_();
        var upstream = randn(4, 8, 6, 6).to(x.dtype);
        norm.call(x).backward([upstream]); // the first call probes
        norm.zero_grad();
        x.grad = null;
        Tensor? y = null;
        var first = OperationTrace.Of(() => y = norm.call(x));
        var second = OperationTrace.Of(() => y!.backward([upstream]));
        log.WriteLine($"{name}: {first.Count} ({string.Join(", ", first)}), {second.Count} ({string.Join(", ", second)})");
        Assert.InRange(first.Count, 1, forward);
        Assert.InRange(second.Count, 1, backward);
    }
}

using System.Runtime.Intrinsics;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Tests.Dispatch;

public class KernelSelectionTests
{
    [Fact]
    public void The_exports_are_there() => Assert.True(LibTorch.IsAvailable);

    [Fact]
    public void The_width_is_the_widest_that_the_machine_runs_unless_set()
    {
        if (Setting.Read("Vectors") is not null) return;
        int widest = Vector512.IsHardwareAccelerated ? 512 : Vector256.IsHardwareAccelerated ? 256 : Vector128.IsHardwareAccelerated ? 128 : 0;
        Assert.Equal(widest, (int)KernelSelection.Width);
    }

    [Fact]
    public void Takes_dense_contiguous_floats_on_the_cpu()
    {
        using var scope = NewDisposeScope();
        var x = zeros(4, 6);
        foreach (var dtype in new[] { ScalarType.Float32, ScalarType.Float64, ScalarType.BFloat16 }) Assert.True(KernelSelection.Takes(x.to(dtype)));
        foreach (var dtype in new[] { ScalarType.Float16, ScalarType.Int64, ScalarType.ComplexFloat32 }) Assert.False(KernelSelection.Takes(x.to(dtype)));
        Assert.False(KernelSelection.Takes(x.t()));
        Assert.True(KernelSelection.TakesStrided(x.t()));
        Assert.False(KernelSelection.Takes(x.to_sparse()));
        Assert.False(KernelSelection.Takes(zeros(2, 3, device: META)));
        Assert.True(KernelSelection.TakesOptional(null));
    }

    [Fact]
    public void Off_takes_nothing()
    {
        using var x = zeros(4);
        var before = KernelSelection.Mode;
        KernelSelection.Mode = KernelMode.Off;
        bool takes = KernelSelection.Takes(x);
        KernelSelection.Mode = before;
        Assert.False(takes);
    }

    [Fact]
    public unsafe void Pointers_respect_views()
    {
        using var x = arange(10, dtype: ScalarType.Float32);
        using var tail = x[6..];
        Assert.Equal([6f, 7, 8, 9], TensorMemory.Span<float>(tail).ToArray());
        Assert.True(TensorMemory.PointerOrNull<float>(null) == null);
    }

    [Fact]
    public unsafe void A_gradient_that_is_not_laid_out_as_its_parameter_is_refused()
    {
        using var scope = NewDisposeScope();
        using var p = new TorchSharp.Modules.Parameter(zeros(3, 2));
        Assert.True(TensorMemory.Gradient(p.Handle, out bool usable) == null);
        Assert.True(usable);
        p.grad = ones(3, 2);
        Assert.Equal(1f, *(float*)TensorMemory.Gradient(p.Handle, out usable));
        Assert.True(usable);
        p.grad = ones(2, 3).t();
        Assert.True(TensorMemory.Gradient(p.Handle, out usable) == null);
        Assert.False(usable);
    }
}

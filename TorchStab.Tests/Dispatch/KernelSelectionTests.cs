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
        Assert.False(KernelSelection.Takes(x.to_sparse()));
        Assert.False(KernelSelection.Takes(zeros(2, 3, device: META)));
    }

    [Fact]
    public void Norms_take_half_types_with_parameters_of_their_own_or_of_float32()
    {
        using var scope = NewDisposeScope();
        ScalarType[] dtypes = [ScalarType.Float32, ScalarType.Float64, ScalarType.BFloat16, ScalarType.Float16];
        foreach (var input in dtypes)
        {
            foreach (var parameter in dtypes)
            {
                Tensor x = zeros(4, 6, 3, 6).to(input), w = ones(6).to(parameter);
                bool taken = input == parameter || (parameter == ScalarType.Float32 && input is ScalarType.BFloat16 or ScalarType.Float16);
                var expected = taken ? NormForm.Kernel : NormForm.TensorOps;
                Assert.Equal(expected, NormSelection.FormOfRows(NativeNorm.Layer, x, w, w, 6));
                Assert.Equal(expected, NormSelection.FormOfChannels(x, w, w));
                Assert.Equal(expected, NormSelection.FormOfGroups(x, w, null, 3));
                if (input != parameter) Assert.Equal(NormForm.TensorOps, NormSelection.FormOfRows(NativeNorm.Layer, x, w, ones(6).to(input), 6));
            }
            Assert.Equal(NormForm.Kernel, NormSelection.FormOfRows(NativeNorm.Layer, zeros(4, 6).to(input), null, null, 6));
            Assert.Equal(NormForm.TensorOps, NormSelection.FormOfRows(NativeNorm.Layer, zeros(4, 6).to(input), null, ones(6), 6));
        }
        Assert.Equal(NormForm.TensorOps, NormSelection.FormOfRows(NativeNorm.Layer, zeros(4, 6, ScalarType.Int64), null, null, 6));
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
    public void Pointers_respect_views()
    {
        using var x = arange(10, dtype: ScalarType.Float32);
        using var tail = x[6..];
        Assert.Equal([6f, 7, 8, 9], TensorMemory.Span<float>(tail).ToArray());
    }

    [Fact]
    public void A_step_needs_everything_laid_out_alike()
    {
        using var scope = NewDisposeScope();
        Tensor p = zeros(3, 2), g = zeros(3, 2), state = zeros(3, 2);
        Assert.True(Takes(p, g, state, state));
        Assert.True(Takes(p, g));
        Assert.False(Takes(p, zeros(2, 3).t(), state));
        Assert.False(Takes(p, g.to(ScalarType.Float64), state));
        Assert.False(Takes(p, zeros(5)));
        Assert.False(Takes(p, g, state, state.to(ScalarType.Float64)));
        Assert.False(Takes(p, g, zeros(5)));
        Assert.False(Takes(p, g, zeros(2, 3).t()));

        static bool Takes(Tensor p, Tensor g, Tensor? state0 = null, Tensor? state1 = null) => KernelSelection.TakesStep(
            new(TensorView.Of(p), TensorView.Of(g), TensorView.Of(state0), TensorView.Of(state1)));
    }

    [Fact]
    public void What_a_kernel_wrote_is_no_longer_what_backward_saved()
    {
        using var scope = NewDisposeScope();
        var p = ones(3, requires_grad: true);
        var loss = (p * p).sum();
        using (no_grad()) TensorMemory.MarkWritten(p);
        var error = Assert.ThrowsAny<Exception>(() => loss.backward());
        Assert.Contains("modified by an inplace operation", error.Message, StringComparison.Ordinal);
        Assert.Equal([3L], p.shape);
    }
}

using System.Runtime.InteropServices;
using TorchStab.Dispatch;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Dispatch.Native;

/// <summary>
/// Operations of libtorch by name: every kind of argument and result, against TorchSharp's calls of the same operations; and what a call leaves behind.
/// </summary>
public class NativeCallTests
{
    [Fact]
    public void The_exports_are_there() => Assert.True(StableLibrary.IsAvailable);

    [Fact]
    public void A_tensor_goes_in_and_comes_out()
    {
        using var scope = NewDisposeScope();
        var x = randn(3, 5, requires_grad: true);
        var y = Relu(x);
        Compare.Identical(x.detach().relu(), y, "relu");
        Assert.False(y.requires_grad, "recorded");
        Assert.True(is_grad_enabled());
        Assert.True((x * 2).requires_grad, "gradients are off");
    }

    [Fact]
    public void Numbers_flags_lists_and_missing_tensors_reach_the_operation()
    {
        using var scope = NewDisposeScope();
        Tensor x = randn(4, 3, 6, dtype: ScalarType.Float64), weight = rand(6, dtype: ScalarType.Float64), gradient = randn(4, 3, 6, dtype: ScalarType.Float64);
        var call = new NativeCall();
        call.Add(x.Handle);
        call.Add([6L]);
        call.AddOptional(weight.Handle);
        call.AddOptional(0);
        call.Add(1e-3);
        call.Run("aten::native_layer_norm\0"u8);
        Tensor y = Wrap(call.Take(0)), mean = Wrap(call.Take(1)), rate = Wrap(call.Take(2));
        Compare.Close(nn.functional.layer_norm(x, [6], weight, eps: 1e-3), y, "output");
        Compare.Close(x.mean([-1], keepdim: true), mean, "mean");

        var backward = new NativeCall();
        backward.Add(gradient.Handle);
        backward.Add(x.Handle);
        backward.Add([6L]);
        backward.Add(mean.Handle);
        backward.Add(rate.Handle);
        backward.AddOptional(weight.Handle);
        backward.AddOptional(0);
        backward.Add(false, true, false);
        backward.Run("aten::native_layer_norm_backward\0"u8);
        backward.Take(0, wanted: false);
        backward.Take(2, wanted: false);
        Compare.Close((gradient * (x - mean) * rate).sum([0, 1]), Wrap(backward.Take(1)), "gradient of the weight");
    }

    [Fact]
    public void Lists_of_tensors_go_in_and_come_out()
    {
        using var scope = NewDisposeScope();
        Tensor[] tensors = [randn(3), randn(2, 4), randn(5)];
        Tensor factor = tensor(0.5f);
        nint[] handles = [.. tensors.Select(t => t.Handle)];
        var call = new NativeCall();
        call.Add(handles);
        call.Add(factor.Handle);
        call.Run("aten::_foreach_mul\0"u8, "Tensor\0"u8);
        var products = call.TakeList(0).Select(Wrap).ToList();
        Assert.Equal(3, products.Count);
        for (int i = 0; i < 3; i++) Compare.Identical(tensors[i] * factor, products[i], $"product {i}");
        Tensor[] before = [.. tensors.Select(t => t.clone())];
        var inPlace = new NativeCall();
        inPlace.Add(handles);
        inPlace.Add(factor.Handle);
        inPlace.Run("aten::_foreach_mul_\0"u8, "Tensor\0"u8);
        for (int i = 0; i < 3; i++) Compare.Identical(before[i] * factor, tensors[i], $"product {i} in place");
    }

    [Fact]
    public void An_optional_number_is_there_or_not()
    {
        using var scope = NewDisposeScope();
        foreach (double? infinite in new double?[] { 7, null })
        {
            var x = tensor(new[] { 1, float.PositiveInfinity, float.NaN });
            var call = new NativeCall();
            call.Add(x.Handle);
            call.AddOptional(2.5);
            call.AddOptional(infinite);
            call.AddOptional((double?)null);
            call.Run("aten::nan_to_num\0"u8);
            Compare.Identical(tensor(new[] { 1, (float?)infinite ?? float.MaxValue, 2.5f }), Wrap(call.Take(0)), "without NaN");
        }
    }

    [Fact]
    public void What_libtorch_refuses_is_an_exception_and_gradients_stay_on()
    {
        using var x = randn(2);
        var error = Assert.Throws<ExternalException>(() => Unary(x, "aten::no_such_operation\0"u8));
        Assert.StartsWith("libtorch's aten::no_such_operation failed", error.Message, StringComparison.Ordinal);
        Assert.True(is_grad_enabled());
    }

    /// <summary>What 4,000 leaked tensors of 64 kB, or lists of 100 handles, or 200,000 optional numbers would leave is more than 6 MB each.</summary>
    [Fact]
    public void Calls_leave_no_memory()
    {
        using var scope = NewDisposeScope();
        Tensor x = randn(64, 256), small = randn(1), one = ones([]);
        nint[] handles = [.. Enumerable.Repeat(small.Handle, 100)];
        Call(100);
        long before = Soak.ResidentBytes();
        Call(4000);
        Assert.InRange(Soak.ResidentBytes() - before, long.MinValue, 3 << 20);

        void Call(int times)
        {
            for (int i = 0; i < times; i++)
            {
                Relu(x).Dispose();
                var list = new NativeCall();
                list.Add(handles);
                list.Add(one.Handle);
                list.Run("aten::_foreach_mul_\0"u8, "Tensor\0"u8);
                for (int k = 0; k < 17; k++) Clean(small);
            }
        }

        static void Clean(Tensor t)
        {
            var call = new NativeCall();
            call.Add(t.Handle);
            for (int k = 0; k < 3; k++) call.AddOptional(1.0 + k);
            call.Run("aten::nan_to_num_\0"u8);
            call.Take(0, wanted: false);
        }
    }

    private static Tensor Relu(Tensor x) => Unary(x, "aten::relu\0"u8);

    private static Tensor Unary(Tensor x, ReadOnlySpan<byte> name)
    {
        var call = new NativeCall();
        call.Add(x.Handle);
        call.Run(name);
        return Wrap(call.Take(0));
    }

    private static Tensor Wrap(nint handle) => Tensor.UnsafeCreateTensor(handle);
}

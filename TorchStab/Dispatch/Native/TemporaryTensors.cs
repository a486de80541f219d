using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>Temporary tensors in the shapes of others. The current DisposeScope owns them.</summary>
/// <param name="Each">The handles of the tensors.</param>
/// <param name="All">
/// One tensor in which they lie one after the other, so that an operation on it reaches all of them in one launch; null if they lie apart.
/// </param>
internal sealed unsafe record TemporaryTensors(nint[] Each, Tensor? All)
{
    /// <summary>Copies in the dtype of the arithmetic, joined.</summary>
    public static TemporaryTensors Copies(nint[] tensors, StepNumbers numbers)
    {
        var copies = Joined(empty(Count(tensors), numbers.Dtype, numbers.Device), tensors);
        Foreach.Copy(copies.Each, tensors);
        return copies;
    }

    /// <summary>Zeros, joined.</summary>
    public static TemporaryTensors Zeros(nint[] like, StepNumbers numbers) => Joined(zeros(Count(like), numbers.Dtype, numbers.Device), like);

    /// <summary>Products of tensors and one factor, apart.</summary>
    public static TemporaryTensors Products(nint[] tensors, double factor, StepNumbers numbers)
    {
        var call = new NativeCall();
        call.Add(tensors);
        call.Add(numbers.Of(factor));
        call.Run("aten::_foreach_mul\0"u8, "Tensor\0"u8);
        return new(Owned(call.TakeList(0)), null);
    }

    /// <summary>Products of tensors with a factor each, joined.</summary>
    public static TemporaryTensors Products(nint[] tensors, double[] factors, StepNumbers numbers)
    {
        var products = Zeros(tensors, numbers);
        Foreach.AddProducts(products.Each, tensors, Joined(ones(Count(tensors), numbers.Dtype, numbers.Device), tensors).Each, factors);
        return products;
    }

    /// <summary>The parts of a tensor of one dimension in which tensors of these shapes lie one after the other.</summary>
    public static TemporaryTensors Joined(Tensor all, nint[] like)
    {
        var call = new NativeCall();
        call.Add(all.Handle);
        call.Add(like);
        call.Run("aten::unflatten_dense_tensors\0"u8);
        return new(Owned(call.TakeList(0)), all);
    }

    /// <summary>The number of elements of some tensors.</summary>
    public static long Count(nint[] tensors) => tensors.Sum(t => LibTorch.Numel(t));

    private static nint[] Owned(nint[] handles)
    {
        foreach (nint handle in handles) Tensor.UnsafeCreateTensor(handle);
        return handles;
    }
}

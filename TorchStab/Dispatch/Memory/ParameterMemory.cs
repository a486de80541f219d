using System.Runtime.InteropServices;
using TorchStab.Kernels;

namespace TorchStab.Dispatch;

/// <summary>
/// The weight and the bias of a norm, and their gradients, as kernels read and write them: in the type of the arithmetic. That is the type of float32 and
/// float64 parameters, also beside a half-precision input (mixed precision). Half-precision parameters are read into float32 copies, and their gradients are
/// rounded once, by <see cref="StoreGradients"/>.
/// </summary>
internal unsafe ref struct ParameterMemory
{
    private const int Alignment = 64; // a cache line

    private readonly int _count;
    private readonly Element _element;
    private float* _copies;

    /// <param name="inputs">The inputs of a norm. A weight exists if there is a bias, and has the same dtype.</param>
    /// <param name="count">The number of elements of each parameter.</param>
    public ParameterMemory(in Handles inputs, int count)
    {
        _count = count;
        if (inputs.Weight == 0) return;
        _element = TensorMemory.ElementOf(inputs.Weight);
        Weight = TensorMemory.At(inputs.Weight);
        Bias = inputs.Bias == 0 ? null : TensorMemory.At(inputs.Bias);
        if (_element is Element.Float32 or Element.Float64) return;
        _copies = (float*)NativeMemory.AlignedAlloc(4 * (nuint)count * sizeof(float), Alignment);
        Weight = Widen(Weight, _copies);
        if (Bias != null) Bias = Widen(Bias, _copies + count);
    }

    /// <summary>Null if missing.</summary>
    public void* Weight { get; }

    /// <inheritdoc cref="Weight"/>
    public void* Bias { get; }

    /// <summary>The memory for a kernel's gradient of the weight, whose values end in <paramref name="tensor"/>.</summary>
    public readonly void* WeightGradient(nint tensor) => _copies == null ? TensorMemory.At(tensor) : _copies + (2L * _count);

    /// <summary>The memory for a kernel's gradient of the bias, whose values end in <paramref name="tensor"/>.</summary>
    public readonly void* BiasGradient(nint tensor) => _copies == null ? TensorMemory.At(tensor) : _copies + (3L * _count);

    /// <summary>Rounds the gradients of half-precision parameters into their tensors.</summary>
    public readonly void StoreGradients(in Handles gradients)
    {
        if (_copies == null) return;
        ref readonly var kernel = ref Instances<BucketKernel.Family>.Of(_element, (int)KernelSelection.Width);
        if (gradients.Weight != 0) kernel.Scatter(_copies + (2L * _count), TensorMemory.At(gradients.Weight), _count);
        if (gradients.Bias != 0) kernel.Scatter(_copies + (3L * _count), TensorMemory.At(gradients.Bias), _count);
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(_copies);
        _copies = null;
    }

    private readonly void* Widen(void* parameter, float* copy)
    {
        Instances<BucketKernel.Family>.Of(_element, (int)KernelSelection.Width).Gather(parameter, copy, _count);
        return copy;
    }
}

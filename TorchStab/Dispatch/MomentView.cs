using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>Where a moment lies in the current step: its owner may have moved, resized or exchanged it since the last one.</summary>
internal unsafe struct MomentView
{
    private Tensor? _tensor;
    private TensorView _view;
    private void* _parameter;
    private byte* _native, _storage;
    private long _dimensions;

    /// <summary>Its dtype; null where there is none.</summary>
    public readonly ScalarType? Dtype => _tensor?.dtype;

    /// <summary>
    /// Looks where the moment lies now, once in a step; true where it and its parameter are what <see cref="Accept"/> was told of. In place
    /// a tensor can change its memory, its sizes and its strides, but not its device and dtype. Sizes that differ though there are as many, and as many
    /// elements, in the same contiguous memory, leave every element where it was.
    /// </summary>
    public bool Look(Tensor moment, in TensorView parameter)
    {
        if (ReferenceEquals(moment, _tensor) && _view.Dense && parameter.Data == _parameter && parameter.Count == _view.Count)
        {
            nint handle = _view.Handle;
            if (TensorMemory.At(handle) == _view.Data && LibTorch.Numel(handle) == _view.Count && LibTorch.IsContiguous(handle) != 0
                && LibTorch.Dimensions(handle) == _dimensions) return true;
        }
        _view = TensorView.Of(moment);
        _parameter = null;
        return false;
    }

    /// <summary>
    /// Fetches what <see cref="Look"/> will read, a moment's native tensor and its storage: for hundreds of small parameters waiting for these would take
    /// longer than the looking. They are hints: an address that is none does no harm.
    /// </summary>
    public readonly void Prefetch()
    {
        if (_native == null) return;
        Kernels.Memory.Prefetch((byte*)_view.Handle);
        for (int line = 0; line < 3; line++) Kernels.Memory.Prefetch(_native + (line * Kernels.Memory.Line));
        Kernels.Memory.Prefetch(_storage);
    }

    /// <summary>Whether that tensor was accepted before, wherever it lay.</summary>
    public readonly bool Knows(Tensor moment) => ReferenceEquals(moment, _tensor);

    /// <summary>Remembers that the moment fits the parameter.</summary>
    public void Accept(Tensor moment, in TensorView parameter)
    {
        _tensor = moment;
        if (!_view.Dense || !parameter.Dense) return;
        _parameter = parameter.Data;
        _native = *(byte**)_view.Handle; // a handle is the address of a C++ Tensor, whose only member points to the object
        _storage = *(byte**)(_native + (2 * sizeof(nint))); // after its table of methods and its count of references
        _dimensions = LibTorch.Dimensions(_view.Handle);
    }

    /// <summary>What <see cref="Look"/> saw, or where a moment lies that was made since.</summary>
    public TensorView Of(Tensor? moment)
    {
        if (moment is null) return default;
        if (ReferenceEquals(moment, _tensor)) return _view;
        _parameter = null;
        (_tensor, _view) = (moment, TensorView.Of(moment));
        return _view;
    }
}

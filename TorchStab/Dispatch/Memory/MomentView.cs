using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>The memory of an optimizer's moment in the current step. Its owner may have moved, resized or replaced it since the last step.</summary>
internal unsafe struct MomentView
{
    private Tensor? _tensor;
    private TensorView _view;
    private void* _parameter;
    private byte* _native, _storage;

    /// <summary>The moment's dtype; null if there is no moment.</summary>
    public readonly ScalarType? Dtype => _tensor?.dtype;

    /// <summary>
    /// Reads the moment's memory, once per step; true if the moment and its parameter are those that <see cref="Accept"/> stored. A tensor can change its
    /// memory, sizes and strides in place, but not its device and dtype. So memory, contiguity and sizes are compared.
    /// </summary>
    public bool Read(Tensor moment, in TensorView parameter)
    {
        if (ReferenceEquals(moment, _tensor) && _view.Dense && parameter.Data == _parameter && parameter.Count == _view.Count)
        {
            var now = TensorMemory.View(_view.Handle);
            if (now.Data == _view.Data && TensorShape.Same(now, parameter)) return true;
        }
        _view = TensorView.Of(moment);
        _parameter = null;
        return false;
    }

    /// <summary>
    /// Prefetches what <see cref="Read"/> will read: the moment's native tensor and its storage. For hundreds of small parameters the cache misses would take
    /// longer than <see cref="Read"/> itself. A prefetch from an invalid address has no effect.
    /// </summary>
    public readonly void Prefetch()
    {
        if (_native == null) return;
        Kernels.Memory.Prefetch((byte*)_view.Handle);
        for (int line = 0; line < 3; line++) Kernels.Memory.Prefetch(_native + (line * Kernels.Memory.Line));
        Kernels.Memory.Prefetch(_storage);
    }

    /// <summary>Whether that tensor was accepted before, at any address.</summary>
    public readonly bool Knows(Tensor moment) => ReferenceEquals(moment, _tensor);

    /// <summary>Stores that the moment fits the parameter.</summary>
    public void Accept(Tensor moment, in TensorView parameter)
    {
        _tensor = moment;
        if (!_view.Dense || !parameter.Dense) return;
        _parameter = parameter.Data;
        _native = *(byte**)_view.Handle; // a handle is the address of a C++ Tensor, whose only member points to the object
        _storage = *(byte**)(_native + (2 * sizeof(nint))); // after its virtual table and its reference counts
    }

    /// <summary>Returns the view that <see cref="Read"/> read, or the view of a moment that was created since.</summary>
    public TensorView Of(Tensor? moment)
    {
        if (moment is null) return default;
        if (ReferenceEquals(moment, _tensor)) return _view;
        _parameter = null;
        (_tensor, _view) = (moment, TensorView.Of(moment));
        return _view;
    }
}

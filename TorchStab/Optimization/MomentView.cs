using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Optimization;

/// <summary>Where a moment lies. It is the optimizer's own tensor, and stays where it is until another object takes its place.</summary>
internal struct MomentView
{
    private Tensor? _tensor;
    private TensorView _view;

    public TensorView Of(Tensor? moment)
    {
        if (!ReferenceEquals(moment, _tensor) || moment?.IsInvalid == true) (_tensor, _view) = (moment, TensorView.Of(moment));
        return _view;
    }
}

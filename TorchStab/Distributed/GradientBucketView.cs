using TorchSharp.Modules;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Distributed;

/// <summary>
/// A bucket whose gradients are views of the message: after the first sum each parameter's <c>.grad</c> is such a view, the backward pass adds to it in
/// place, and the next sum copies nothing. A gradient that was set to null or replaced in the meantime is copied into the message again.
/// </summary>
internal sealed class GradientBucketView : GradientBucket
{
    private readonly Tensor?[] _views;
    private readonly bool[] _isView;

    public GradientBucketView(IReadOnlyList<Parameter> parameters, List<int> indices, Tensor buffer) : base(parameters, indices, buffer) =>
        (_views, _isView) = (new Tensor?[Count], new bool[Count]);

    /// <inheritdoc/>
    public override void Dispose()
    {
        foreach (var view in _views) view?.Dispose();
        base.Dispose();
    }

    /// <inheritdoc/>
    protected override bool Gather(in TensorView flat, Part part, GradientHandles gradients, int k) =>
        (_isView[part.Number] = BucketLaunch.IsViewOf(gradients.Gradients[k], flat, part.Start, part.Count))
            ? BucketLaunch.TryIsFinite(flat, part.Start, part.Count) ?? IsFinite(part)
            : base.Gather(flat, part, gradients, k);

    /// <inheritdoc/>
    protected override void Return(in TensorView flat, Part part, GradientHandles gradients, int k)
    {
        if (_isView[part.Number]) return;
        ref var view = ref _views[part.Number];
        if (view is null || !BucketLaunch.IsViewOf(TensorView.Of(view), flat, part.Start, part.Count))
        {
            view?.Dispose();
            // Detached: zero_grad calls detach_, which autograd refuses on a view.
            using var own = View(part);
            view = own.detach().DetachFromDisposeScope();
        }
        ParameterOf(part).grad = view;
    }

    private bool IsFinite(Part part)
    {
        using var view = View(part);
        return GradientPieces.IsFinite(view);
    }
}

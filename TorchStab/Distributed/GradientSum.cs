using TorchSharp.Modules;
using TorchStab.Clipping;
using TorchStab.Dispatch;
using TorchStab.Optimization;
using static TorchSharp.torch;

namespace TorchStab.Distributed;

/// <summary>
/// Weights the gradient of a wrapped model by this rank's share of the samples, and sums the gradients over all ranks when an optimizer steps.
/// </summary>
internal sealed class GradientSum : ISharedGradients, IDisposable
{
    private readonly nn.Module _model;
    private readonly long _bucketBytes;
    private readonly bool _views;
    private readonly HashSet<Parameter> _nonFinite = new(ReferenceEqualityComparer.Instance);
    private List<Parameter> _parameters = [];
    private GradientPieces? _pieces;
    private bool _pending;
    private int _pauses;

    public GradientSum(ProcessGroup group, nn.Module model, long bucketBytes, bool views)
    {
        (Group, _model, _bucketBytes, _views) = (group, model, bucketBytes, views);
        Register();
    }

    public ProcessGroup Group { get; }

    public long Steps { get; private set; }

    /// <summary>Begins a training pass, and returns this rank's share of all ranks' samples.</summary>
    /// <param name="samples">The number of samples on this rank.</param>
    /// <param name="buffersFollow">Whether the caller exchanges buffers afterwards.</param>
    /// <param name="modelHasRun">Whether the model has already run in this pass: its tensors may then not be written.</param>
    public double Begin(long samples, bool buffersFollow, bool modelHasRun)
    {
        if (Group.IsAlone) return 1;
        long[] all = Group.Agree(new(CallKind.Forward, Steps + 1, buffersFollow ? 1 : 0, Free: (samples << 1) | (HasChanged() ? 1L : 0)));
        if (Array.Exists(all, a => (a & 1) != 0)) Reconcile(modelHasRun);
        _pending = true;
        return (double)samples / Math.Max(1, all.Sum(a => a >> 1));
    }

    public Tensor Weigh(Tensor output, double share) => Group.IsAlone ? output.alias() : ScaleGradientNode.Apply(output, share);

    public IDisposable Pause()
    {
        _pauses++;
        return new Pausing(() => _pauses--);
    }

    public void Combine()
    {
        if (!_pending || _pauses > 0) return;
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        _nonFinite.Clear();
        _pieces ??= new GradientPieces(_parameters, _bucketBytes, _views, Group.SharedSum);
        _pieces.Sum(Group, Steps + 1, _nonFinite);
        Steps++;
        _pending = false;
    }

    public int? CulpritOf(Parameter parameter)
    {
        if (Group.IsAlone) return null;
        int rank = Array.IndexOf(Group.Agree(new(CallKind.Culprit, Steps, Free: _nonFinite.Contains(parameter) ? 1 : 0)), 1);
        return rank < 0 ? null : rank;
    }

    public void Dispose()
    {
        _parameters.ForEach(SharedGradients.Forget);
        _pieces?.Dispose();
    }

    // Called when a rank's model has changed: layers were added, removed, frozen, unfrozen or replaced (as by .to()). All ranks must have the same model
    // with the same values.
    private void Reconcile(bool modelHasRun)
    {
        if (modelHasRun) StartingPoint.RequireSame(Group, _model);
        else StartingPoint.Share(Group, _model, buffers: false);
        Register();
    }

    private void Register()
    {
        Dispose();
        _pieces = null;
        _parameters = Trainable();
        if (!Group.IsAlone) _parameters.ForEach(p => SharedGradients.Register(p, this));
    }

    private List<Parameter> Trainable() => GradientSet.Distinct(_model.parameters().Where(p => p.requires_grad));

    private bool HasChanged()
    {
        var now = Trainable();
        return now.Count != _parameters.Count || now.Zip(_parameters).Any(p => !IsSame(p.First, p.Second));
    }

    // libtorch's own modules return a new object for the same parameter each time.
    private static bool IsSame(Parameter now, Parameter before) => ReferenceEquals(now, before)
        || (!before.IsInvalid && ParameterIdentity.OfLeaf(now) == ParameterIdentity.OfLeaf(before));

    private sealed class Pausing(Action end) : IDisposable
    {
        private Action? _end = end;

        public void Dispose()
        {
            _end?.Invoke();
            _end = null;
        }
    }
}

using System.Runtime.CompilerServices;
using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Dispatch;
using TorchStab.Optimization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

public abstract partial class MomentState
{
    // The largest count that a double represents exactly, and far below the overflow of a long.
    private const long LargestStep = 1L << 53;

    private MomentViews _views;

    [InlineArray(4)] // three moments and the master copy
    private struct MomentViews
    {
        private MomentView _first;
    }

    /// <summary>Prefetches the memory that <see cref="WhyNot(ClipOptions, in TensorView)"/> reads.</summary>
    internal void Prefetch()
    {
        for (int k = 0; k < Table.All.Length; k++) _views[k].Prefetch();
    }

    /// <summary>
    /// The memory of the k-th moment for the kernels of this step, after <see cref="WhyNot(ClipOptions, in TensorView)"/> has checked it; default if the
    /// options do not need the moment. If they need one that does not exist yet, it is created with zeros.
    /// </summary>
    internal TensorView View(int k, ClipOptions options)
    {
        var moments = Table.Moments;
        if (k >= moments.Length || !moments[k].IsWanted(options)) return default;
        return _views[k].Of(moments[k].Of(this) ??= Zeros());
    }

    /// <summary>The reason why a step cannot update this state; null if it can. Also finds the memory of the moments for the step's kernels.</summary>
    /// <param name="options">The options of the parameter's group.</param>
    /// <param name="parameter">The memory of the parameter.</param>
    internal string? WhyNot(ClipOptions options, in TensorView parameter)
    {
        var moments = Table.All;
        string? why = WhyNot(Steps);
        for (int k = 0; k < moments.Length && why is null; k++)
        {
            var m = moments[k];
            var tensor = m.Of(this);
            if (!m.IsOptional || (tensor is not null && m.IsWanted(options))) why = WhyNot(m, tensor, ref _views[k], parameter);
        }
        return why;
    }

    /// <summary>Checks one moment: it needs the parameter's shape and device and the first moment's dtype, and must be writable.</summary>
    private string? WhyNot(Moment m, Tensor? moment, ref MomentView view, in TensorView parameter)
    {
        if (moment is null) return $"{m.Name} is null";
        if (moment.IsInvalid) return $"{m.Name} was disposed";
        if (view.Read(moment, parameter)) return null;
        string? why = WhyNot(m.Name, moment, view.Knows(moment), DtypeOf(m, moment));
        if (why is null) view.Accept(moment, parameter);
        else view = default; // so that the next step checks it completely again
        return why;
    }

    // Any floating dtype for the first moment, and its dtype for the others.
    private ScalarType DtypeOf(Moment m, Tensor moment) => m.IsMaster ? ScalarType.Float32
        : (ReferenceEquals(m, Table.Moments[0]) ? null : _views[0].Dtype) ?? (moment.is_floating_point() ? moment.dtype : MomentDtype);

    private string? WhyNot(string name, Tensor moment, bool known, ScalarType dtype)
    {
        if (moment.is_sparse) return $"{name} is sparse";
        if (moment.dtype != dtype) return $"expected {name} of {dtype}, got {moment.dtype}";
        if (!TensorShape.Same(moment, Owner)) return $"expected {name} of shape [{string.Join(", ", Owner.shape)}], got [{string.Join(", ", moment.shape)}]";
        if (moment.device_type != Owner.device_type || moment.device_index != Owner.device_index)
            return $"expected {name} on {Owner.device}, got {moment.device}";
        return (known ? Writable.Overlaps(moment) ? Writable.Shared : null : Writable.WhyNot(moment)) is { } why ? $"{name}: {why}" : null;
    }

    /// <summary>
    /// The reason why no step can have left these values; null if one can: the next step would make the parameter NaN. A mean of squares may be infinite in a
    /// file of torch.optim, where it overflows.
    /// </summary>
    private static string? WhyNot(Moment m, Tensor values)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        if ((m.Squares ? values.ge(0) : values.isfinite()).all().item<bool>()) return null;
        return m.Squares ? $"expected {m.Name} of at least 0, got a negative value or NaN" : $"expected finite values in {m.Name}, got NaN or an infinity";
    }

    /// <summary>The reason why a number cannot be a count of updates; null if it can.</summary>
    private static string? WhyNot(long step) => step is >= 0 and <= LargestStep ? null
        : FormattableString.Invariant($"expected a step count of at least 0, got {step}");

    /// <summary>
    /// Throws if this state cannot copy <paramref name="source"/>: it belongs to another kind of optimizer, its step count is invalid, or a tensor is missing,
    /// has no floating dtype, another shape than the parameter, or impossible values.
    /// </summary>
    internal void Check(OptimizerState source)
    {
        var tensors = Table.Of(source);
        string? why = WhyNot(Table.StepsOf(source));
        for (int k = 0; k < tensors.Length && why is null; k++)
        {
            if (tensors[k] is not { IsInvalid: false } t)
                why = !Table.All[k].IsOptional || tensors[k] is not null ? "expected moments, got one that is missing or disposed" : null;
            else if (!t.is_floating_point() || t.is_sparse || t.device_type == DeviceType.META)
                why = $"expected moments of a floating dtype, dense, got {t.dtype} on {t.device}";
            else if (!TensorShape.Same(t, Owner)) why = $"expected state of shape [{string.Join(", ", Owner.shape)}], got [{string.Join(", ", t.shape)}]";
            else why = WhyNot(Table.All[k], t);
        }
        if (why is not null)
            throw new InvalidOperationException($"{why}; load the state of an optimizer over the same model, its parameters in the same order");
    }
}

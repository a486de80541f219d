using System.Runtime.CompilerServices;
using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Clipping;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Modules;

public abstract partial class MomentState
{
    // Exact as a double, and far from where one more would turn the sign.
    private const long LargestStep = 1L << 53;

    private MomentViews _views;

    [InlineArray(3)]
    private struct MomentViews
    {
        private MomentView _first;
    }

    /// <summary>Fetches what <see cref="WhyNot(ClipOptions, in TensorView)"/> will read.</summary>
    internal void Prefetch()
    {
        for (int k = 0; k < Table.Moments.Length; k++) _views[k].Prefetch();
    }

    /// <summary>
    /// Where the k-th moment lies for the kernels of this step, after <see cref="WhyNot(ClipOptions, in TensorView)"/> has looked; missing where the
    /// options do not ask for it. One that they ask for since the state was made starts at zero.
    /// </summary>
    internal TensorView View(int k, ClipOptions options)
    {
        var moments = Table.Moments;
        if (k >= moments.Length || !moments[k].IsWanted(options)) return default;
        return _views[k].Of(moments[k].Of(this) ??= Zeros());
    }

    /// <summary>Why a step cannot update this state as it is; null where it can. Looks where the moments lie, for the kernels of the step.</summary>
    /// <param name="options">Those of the parameter's group.</param>
    /// <param name="parameter">Where the parameter lies.</param>
    internal string? WhyNot(ClipOptions options, in TensorView parameter)
    {
        var moments = Table.Moments;
        string? why = WhyNot(Steps);
        for (int k = 0; k < moments.Length && why is null; k++)
        {
            var m = moments[k];
            var tensor = m.Of(this);
            if (!m.IsOptional || (tensor is not null && m.IsWanted(options))) why = WhyNot(m.Name, tensor, ref _views[k], parameter, isFirst: k == 0);
        }
        return why;
    }

    /// <summary>The same of one moment: shaped as the parameter, on its device, of the first one's dtype, free to be written.</summary>
    private string? WhyNot(string name, Tensor? moment, ref MomentView view, in TensorView parameter, bool isFirst)
    {
        if (moment is null) return $"{name} is null";
        if (moment.IsInvalid) return $"{name} was disposed";
        if (view.Look(moment, parameter)) return null;
        string? why = WhyNot(name, moment, view.Knows(moment), (isFirst ? null : _views[0].Dtype) ?? (moment.is_floating_point() ? moment.dtype : MomentDtype));
        if (why is null) view.Accept(moment, parameter);
        else view = default; // to be looked at as a new one the next time, too
        return why;
    }

    private string? WhyNot(string name, Tensor moment, bool known, ScalarType dtype)
    {
        if (moment.is_sparse) return $"{name} is sparse";
        if (moment.dtype != dtype) return $"expected {name} of {dtype}, got {moment.dtype}";
        if (!TensorShape.Same(moment, Owner)) return $"expected {name} of shape [{string.Join(", ", Owner.shape)}], got [{string.Join(", ", moment.shape)}]";
        if (moment.device_type != Owner.device_type || moment.device_index != Owner.device_index) return $"expected {name} on {Owner.device}, got {moment.device}";
        return (known ? Writable.Overlaps(moment) ? Writable.Shared : null : Writable.WhyNot(moment)) is { } why ? $"{name}: {why}" : null;
    }

    /// <summary>Why that cannot be a number of updates.</summary>
    private static string? WhyNot(long step) => step is >= 0 and <= LargestStep ? null
        : FormattableString.Invariant($"expected a step count of at least 0, got {step}");

    /// <summary>
    /// Refuses a state that this one cannot take over: of another kind of optimizer, with a step count that cannot be one, with tensors that are missing, not
    /// of a floating dtype, or not shaped as the parameter.
    /// </summary>
    internal void Check(OptimizerState source)
    {
        var tensors = Table.Of(source);
        string? why = WhyNot(Table.StepsOf(source));
        for (int k = 0; k < tensors.Length && why is null; k++)
        {
            if (tensors[k] is not { IsInvalid: false } t) why = !Table.Moments[k].IsOptional || tensors[k] is not null ? "expected moments, got one that is missing or disposed" : null;
            else if (!t.is_floating_point() || t.is_sparse || t.device_type == DeviceType.META) why = $"expected moments of a floating dtype, dense, got {t.dtype} on {t.device}";
            else if (!TensorShape.Same(t, Owner)) why = $"expected state of shape [{string.Join(", ", Owner.shape)}], got [{string.Join(", ", t.shape)}]";
        }
        if (why is not null) throw new InvalidOperationException($"{why}; load the state of an optimizer over the same model, its parameters in the same order");
    }
}

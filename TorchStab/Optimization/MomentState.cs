using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Clipping;
using TorchStab.Dispatch;
using TorchStab.Optimization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>
/// The state an optimizer keeps for one parameter. Its tensors belong to no DisposeScope; <see cref="Dispose"/> frees them.
/// The file format is that of TorchSharp's optimizer of the same name.
/// </summary>
public abstract class MomentState : OptimizerState, IDisposable
{
    // Exact as a double, and far from where one more would turn the sign.
    private const long LargestStep = 1L << 53;

    private protected MomentState(Parameter parameter) : base(parameter) { }

    private protected Parameter Owner => _parameter;

    /// <summary>The dtype of the moments that was asked for.</summary>
    private ScalarType? Dtype { get; set; }

    /// <summary>Frees the tensors.</summary>
    public void Dispose()
    {
        Map(t =>
        {
            t.Dispose();
            return t;
        });
        GC.SuppressFinalize(this);
    }

    /// <summary>Moves the tensors.</summary>
    /// <param name="device">Where to.</param>
    public override void to(Device device) => Map(t => MomentStorage.Moved(t, t.dtype, device));

    /// <summary>Hands the state over to the object that replaced its parameter, converted to that one's dtype and device.</summary>
    internal void Rebind(Parameter parameter)
    {
        _parameter = parameter;
        Convert(Dtype);
    }

    /// <summary>Begins at zero for another parameter.</summary>
    internal void Restart(Parameter parameter, OptimizerOptions options)
    {
        _parameter = parameter;
        Initialize(options);
    }

    /// <summary>Updates so far, by those that count them.</summary>
    internal virtual long Steps
    {
        get => 0;
        set { }
    }

    /// <summary>The moments that there are.</summary>
    internal List<Tensor> Moments()
    {
        var moments = new List<Tensor>();
        Map(t =>
        {
            moments.Add(t);
            return t;
        });
        return moments;
    }

    /// <summary>Lets those moments go that are not in <paramref name="kept"/>.</summary>
    internal void Keep(IReadOnlyCollection<Tensor> kept) => Map(t =>
    {
        if (kept.Contains(t, ReferenceEqualityComparer.Instance)) return t;
        t.Dispose();
        return null!; // one that the options asked for later; it is made anew when they ask again
    });

    /// <summary>Refuses a state that this one cannot take over.</summary>
    internal abstract void Check(OptimizerState source);

    /// <summary>Fetches what <see cref="WhyNot(ClipOptions, in TensorView)"/> will read.</summary>
    internal abstract void Prefetch();

    /// <summary>Why a step cannot update this state as it is; null where it can. Looks where the moments lie, for the kernels of the step.</summary>
    /// <param name="options">Those of the parameter's group.</param>
    /// <param name="parameter">Where the parameter lies.</param>
    internal abstract string? WhyNot(ClipOptions options, in TensorView parameter);

    /// <summary>The same of one moment: shaped as the parameter, on its device, of the dtype of <paramref name="first"/> unless it is the first itself, free to be written.</summary>
    private protected string? WhyNot(string name, Tensor? moment, ref MomentView view, in TensorView parameter, in MomentView first = default)
    {
        if (moment is null) return $"{name} is null";
        if (moment.IsInvalid) return $"{name} was disposed";
        if (view.Look(moment, parameter)) return null;
        string? why = WhyNot(name, moment, view.Knows(moment), first.Dtype ?? (moment.is_floating_point() ? moment.dtype : MomentDtype));
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

    /// <summary>Writes a moment. TorchSharp refuses to write a tensor that is not contiguous, as the moments of a transposed or channels_last parameter are.</summary>
    private protected static void Save(BinaryWriter writer, Tensor moment)
    {
        using var contiguous = moment.contiguous();
        contiguous.Save(writer);
    }

    /// <summary>Writes whether there is a moment, and the moment.</summary>
    private protected static void SaveOptional(BinaryWriter writer, Tensor? moment)
    {
        using var contiguous = moment?.contiguous();
        SaveConditionalStateTensor(writer, contiguous);
    }

    /// <summary>Why that cannot be a number of updates.</summary>
    private protected static string? WhyNot(long step) => step is >= 0 and <= LargestStep ? null
        : FormattableString.Invariant($"expected a step count of at least 0, got {step}");

    /// <summary>Converts the tensors to <paramref name="dtype"/>, or to what suits the parameter where it is null.</summary>
    internal void Convert(ScalarType? dtype)
    {
        Dtype = dtype;
        Map(t => MomentStorage.Moved(t, MomentDtype, Owner.device));
    }

    /// <summary>Zeros for a moment of this parameter.</summary>
    private protected Tensor Zeros() => MomentStorage.Zeros(Owner, MomentDtype);

    /// <summary>A copy of another state's moment for this parameter.</summary>
    private protected Tensor? Copy(Tensor? source) => source is null ? null : MomentStorage.Copy(source, Owner, MomentDtype);

    /// <summary>Replaces every tensor of the state that is there by what <paramref name="change"/> makes of it.</summary>
    private protected abstract void Map(Func<Tensor, Tensor> change);

    private protected static InvalidOperationException Foreign(OptimizerState source, string expected) =>
        new($"expected the state of {expected}, got {source.GetType().FullName}; load the state_dict of an optimizer of the same kind");

    /// <summary>The dtype that the moments have, or would have.</summary>
    internal ScalarType MomentDtype => Dtype ?? MomentStorage.DtypeFor(Owner);

    /// <summary>Reads a tensor that may be missing, outside every DisposeScope.</summary>
    private protected void Load(BinaryReader reader, ref Tensor? tensor)
    {
        var read = TensorFile.ReadFlag(reader) ? Read(reader) : null;
        tensor?.Dispose();
        tensor = read;
    }

    /// <summary>Reads a tensor into one that there is.</summary>
    private protected void Load(BinaryReader reader, Tensor tensor)
    {
        using var read = Read(reader);
        using var _ = no_grad();
        tensor.copy_(read);
    }

    // Before anything is allocated the file has to claim what a moment of this parameter can be: its shape, in one of the dtypes that moments have, which
    // for half parameters is the half type in files of torch.optim, and float32 in ours.
    private Tensor Read(BinaryReader reader)
    {
        var header = TensorFile.ReadHeader(reader, "a state");
        if (!header.Shape.SequenceEqual(Owner.shape) || (header.Dtype != Owner.dtype && header.Dtype != MomentDtype && header.Dtype != ScalarType.Float32))
            throw new ArgumentException($"Mismatched tensor shape or data type while loading: expected the state of a {Owner.dtype} parameter of shape [{string.Join(", ", Owner.shape)}], "
                + $"got {header.Dtype} of shape [{string.Join(", ", header.Shape)}]; the file is of another model, or corrupted", nameof(reader));
        using var scope = NewDisposeScope();
        return TensorFile.ReadElements(reader, header).to(MomentDtype, Owner.device).DetachFromDisposeScope();
    }

    /// <summary>Refuses a step count that cannot be one, and tensors that are missing, not of a floating dtype, or not shaped as the parameter, before anything is replaced.</summary>
    /// <param name="step">Updates so far.</param>
    /// <param name="needed">How many of the tensors, from the first on, must be there.</param>
    /// <param name="tensors">The moments.</param>
    private protected void Require(long step, int needed, params ReadOnlySpan<Tensor?> tensors)
    {
        string? why = WhyNot(step);
        for (int i = 0; i < tensors.Length && why is null; i++)
        {
            if (tensors[i] is not { IsInvalid: false } t) why = i < needed || tensors[i] is not null ? "expected moments, got one that is missing or disposed" : null;
            else if (!t.is_floating_point() || t.is_sparse || t.device_type == DeviceType.META) why = $"expected moments of a floating dtype, dense, got {t.dtype} on {t.device}";
            else if (!TensorShape.Same(t, Owner)) why = $"expected state of shape [{string.Join(", ", Owner.shape)}], got [{string.Join(", ", t.shape)}]";
        }
        if (why is not null) throw new InvalidOperationException($"{why}; load the state of an optimizer over the same model, its parameters in the same order");
    }

    private protected static bool Same(Tensor? a, Tensor? b) => a is null || b is null ? a is null && b is null : a.allclose(b);
}

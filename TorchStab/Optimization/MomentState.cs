using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Dispatch;
using TorchStab.Optimization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>
/// The state an optimizer keeps for one parameter. Its tensors belong to no DisposeScope; <see cref="Dispose"/> frees them.
/// The file format is that of TorchSharp's optimizer of the same name.
/// </summary>
public abstract partial class MomentState : OptimizerState, IDisposable
{
    private protected MomentState(Parameter parameter) : base(parameter) { }

    /// <summary>The moments, and the order of the file format.</summary>
    internal abstract MomentTable Table { get; }

    private Parameter Owner => _parameter;

    /// <summary>The dtype of the moments that was asked for.</summary>
    private ScalarType? Dtype { get; set; }

    /// <summary>The dtype that the moments have, or would have.</summary>
    internal ScalarType MomentDtype => Dtype ?? MomentStorage.DtypeFor(Owner);

    /// <summary>Updates so far, by those that count them.</summary>
    internal long Steps
    {
        get => Table.Steps is { } steps ? steps(this) : 0;
        set
        {
            if (Table.Steps is { } steps) steps(this) = value;
        }
    }

    /// <summary>Zeros for the moments that the options ask for; those that the first update makes are null.</summary>
    /// <param name="options">Those of the parameter's group.</param>
    public override void Initialize(OptimizerOptions options)
    {
        Dispose();
        Steps = 0;
        foreach (var m in Table.Moments) m.Of(this) = m.IsWanted((ClipOptions)options) && !m.Late ? Zeros() : null;
    }

    /// <summary>Writes what TorchSharp's optimizer of the same name writes.</summary>
    /// <param name="writer">Where to write.</param>
    public override void SaveStateDict(BinaryWriter writer)
    {
        if (Table.Steps is not null) writer.Write(Steps);
        foreach (var m in Table.Moments)
        {
            using var contiguous = m.Of(this)?.contiguous(); // TorchSharp refuses to write another, as that of a transposed or channels_last parameter is
            if (m.IsOptional) SaveConditionalStateTensor(writer, contiguous);
            else contiguous!.Save(writer);
        }
    }

    /// <summary>Reads what TorchSharp's optimizer of the same name writes.</summary>
    /// <param name="reader">Where to read.</param>
    public override void LoadStateDict(BinaryReader reader)
    {
        if (Table.Steps is not null) Steps = reader.ReadInt64();
        foreach (var m in Table.Moments)
        {
            var read = !m.IsOptional || TensorFile.ReadFlag(reader) ? Read(reader) : null;
            m.Of(this)?.Dispose();
            m.Of(this) = read;
        }
    }

    /// <summary>Copies the state of another optimizer of this kind, TorchStab's or TorchSharp's.</summary>
    /// <param name="source">The state to copy.</param>
    /// <exception cref="InvalidOperationException">Of another kind of optimizer, or of other shapes; nothing is changed then.</exception>
    public override void LoadStateDict(OptimizerState source)
    {
        Check(source);
        var copies = Array.ConvertAll(Table.Of(source), t => t is null ? null : MomentStorage.Copy(t, Owner, MomentDtype));
        Steps = Table.StepsOf(source);
        Dispose(); // after the copies: the source may be this state itself
        for (int k = 0; k < copies.Length; k++) Table.Moments[k].Of(this) = copies[k];
    }

    /// <summary>Whether another state holds nearly the same numbers.</summary>
    /// <param name="other">The other one.</param>
    /// <returns>False for one of another kind, too.</returns>
    public override bool ApproximatelyEquals(OptimizerState other) => other is MomentState state && state.Table == Table && state.Steps == Steps
        && Array.TrueForAll(Table.Moments, m => m.Of(this) is { } mine ? m.Of(state) is { } its && mine.allclose(its) : m.Of(state) is null);

    /// <summary>Moves the tensors.</summary>
    /// <param name="device">Where to.</param>
    public override void to(Device device) => Map(t => MomentStorage.Moved(t, t.dtype, device));

    /// <summary>Frees the tensors.</summary>
    public void Dispose()
    {
        foreach (var m in Table.Moments) m.Of(this)?.Dispose();
        GC.SuppressFinalize(this);
    }

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

    /// <summary>Converts the tensors to <paramref name="dtype"/>, or to what suits the parameter where it is null.</summary>
    internal void Convert(ScalarType? dtype)
    {
        Dtype = dtype;
        Map(t => MomentStorage.Moved(t, MomentDtype, Owner.device));
    }

    /// <summary>The moments that there are.</summary>
    internal List<Tensor> Moments() => [.. Table.Moments.Select(m => m.Of(this)).OfType<Tensor>()];

    /// <summary>Lets those moments go that are not in <paramref name="kept"/>: what the options asked for later is made anew when they ask again.</summary>
    internal void Keep(IReadOnlyCollection<Tensor> kept) => Map(t =>
    {
        if (kept.Contains(t, ReferenceEqualityComparer.Instance)) return t;
        t.Dispose();
        return null;
    });

    /// <summary>Zeros for a moment of this parameter.</summary>
    private Tensor Zeros() => MomentStorage.Zeros(Owner, MomentDtype);

    private void Map(Func<Tensor, Tensor?> change)
    {
        foreach (var m in Table.Moments)
        {
            ref var tensor = ref m.Of(this);
            if (tensor is not null) tensor = change(tensor);
        }
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
        using var _ = no_grad();
        return Zeros().copy_(TensorFile.ReadElements(reader, header)); // laid out as the parameter, which the file's tensor need not be
    }
}

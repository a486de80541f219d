using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Dispatch;
using TorchStab.Optimization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>
/// The state of an optimizer for one parameter. Its tensors belong to no DisposeScope; <see cref="Dispose"/> frees them.
/// The file format is that of TorchSharp's optimizer of the same name.
/// </summary>
public abstract partial class MomentState : OptimizerState, IDisposable
{
    private protected MomentState(Parameter parameter) : base(parameter) { }

    /// <summary>The moments, in the order of the file format.</summary>
    internal abstract MomentTable Table { get; }

    private Parameter Owner => _parameter;

    /// <summary>The requested dtype of the moments; null: not requested.</summary>
    private ScalarType? Dtype { get; set; }

    /// <summary>The dtype of the moments, whether or not they exist yet.</summary>
    internal ScalarType MomentDtype => Dtype ?? MomentStorage.DtypeFor(Owner);

    /// <summary>The number of updates so far, in optimizers that count them.</summary>
    internal long Steps
    {
        get => Table.Steps is { } steps ? steps(this) : 0;
        set
        {
            if (Table.Steps is { } steps) steps(this) = value;
        }
    }

    /// <summary>
    /// Creates the moments that the options need, with zeros, and the master copy; moments that the first update creates remain null.
    /// </summary>
    /// <param name="options">The options of the parameter's group.</param>
    public override void Initialize(OptimizerOptions options)
    {
        Dispose();
        Steps = 0;
        foreach (var m in Table.Moments) m.Of(this) = m.IsWanted((ClipOptions)options) && !m.Late ? Zeros() : null;
        master_param = null;
        UseMaster((ClipOptions)options);
    }

    /// <summary>Writes the state in the format of TorchSharp's optimizer of the same name.</summary>
    /// <param name="writer">Receives the state.</param>
    public override void SaveStateDict(BinaryWriter writer)
    {
        if (Table.Steps is not null) writer.Write(Steps);
        foreach (var m in Table.Moments)
        {
            using var contiguous = m.Of(this)?.contiguous(); // TorchSharp writes only contiguous tensors
            if (m.IsOptional) SaveConditionalStateTensor(writer, contiguous);
            else contiguous!.Save(writer);
        }
    }

    /// <summary>Reads a state in the format of TorchSharp's optimizer of the same name.</summary>
    /// <param name="reader">Contains the state.</param>
    public override void LoadStateDict(BinaryReader reader)
    {
        if (Table.Steps is not null) Steps = reader.ReadInt64();
        foreach (var m in Table.Moments)
        {
            var read = !m.IsOptional || TensorFile.ReadFlag(reader) ? Read(reader, Zeros, MomentDtype, Owner.dtype, ScalarType.Float32) : null;
            m.Of(this)?.Dispose();
            m.Of(this) = read;
        }
    }

    /// <summary>
    /// Copies the state of another optimizer of this kind, TorchStab's or TorchSharp's. If this state has a master copy and the other has none, it is made
    /// from the parameter.
    /// </summary>
    /// <param name="source">The state to copy.</param>
    /// <exception cref="InvalidOperationException">It belongs to another kind of optimizer, or a shape differs. Nothing is changed then.</exception>
    public override void LoadStateDict(OptimizerState source)
    {
        Check(source);
        var tensors = Table.Of(source);
        var copies = new Tensor?[tensors.Length];
        for (int k = 0; k < copies.Length; k++)
            copies[k] = Table.All[k].IsMaster ? master_param is null ? null : MasterOf(tensors[k] ?? Owner)
                : tensors[k] is { } moment ? MomentStorage.Copy(moment, Owner, MomentDtype) : null;
        Steps = Table.StepsOf(source);
        Dispose(); // after the copies, because the source may be this object
        for (int k = 0; k < copies.Length; k++) Table.All[k].Of(this) = copies[k];
    }

    /// <summary>Whether another state has nearly the same values.</summary>
    /// <param name="other">The other state.</param>
    /// <returns>False also for a state of another kind.</returns>
    public override bool ApproximatelyEquals(OptimizerState other) => other is MomentState state && state.Table == Table && state.Steps == Steps
        && Array.TrueForAll(Table.All, m => m.Of(this) is { } mine ? m.Of(state) is { } its && mine.allclose(its) : m.Of(state) is null);

    /// <summary>Moves the tensors to a device.</summary>
    /// <param name="device">The device.</param>
    public override void to(Device device) => Map((_, t) => MomentStorage.Moved(t, t.dtype, device));

    /// <summary>Frees the tensors.</summary>
    public void Dispose()
    {
        foreach (var m in Table.All) m.Of(this)?.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Assigns the state to the object that replaced its parameter, and converts it to the dtype and device of that object.</summary>
    internal void Rebind(Parameter parameter)
    {
        _parameter = parameter;
        Convert(Dtype);
    }

    /// <summary>Resets the state to zero, for another parameter.</summary>
    internal void Restart(Parameter parameter, OptimizerOptions options)
    {
        _parameter = parameter;
        Initialize(options);
    }

    /// <summary>
    /// Converts the moments to <paramref name="dtype"/>; null: to the default dtype of the parameter's moments. The master copy remains float32, and is freed
    /// if the parameter does not need one.
    /// </summary>
    internal void Convert(ScalarType? dtype)
    {
        Dtype = dtype;
        Map((m, t) => !m.IsMaster ? MomentStorage.Moved(t, MomentDtype, Owner.device)
            : MomentStorage.IsHalf(Owner) ? MomentStorage.Moved(t, ScalarType.Float32, Owner.device) : Freed(t));
    }

    /// <summary>The moments that exist, and the master copy.</summary>
    internal List<Tensor> Moments() => [.. Table.All.Select(m => m.Of(this)).OfType<Tensor>()];

    /// <summary>Frees the moments that are not in <paramref name="kept"/>. A step creates them again if the options need them.</summary>
    internal void Keep(IReadOnlyCollection<Tensor> kept) => Map((_, t) => kept.Contains(t, ReferenceEqualityComparer.Instance) ? t : Freed(t));

    /// <summary>Creates a moment of this parameter with zeros.</summary>
    private Tensor Zeros() => MomentStorage.Zeros(Owner, MomentDtype);

    private static Tensor? Freed(Tensor tensor)
    {
        tensor.Dispose();
        return null;
    }

    private void Map(Func<Moment, Tensor, Tensor?> change)
    {
        foreach (var m in Table.All)
        {
            ref var tensor = ref m.Of(this);
            if (tensor is not null) tensor = change(m, tensor);
        }
    }

    // Checks the header before it allocates memory: a moment has the parameter's shape and one of the possible dtypes. For half-precision parameters files of
    // torch.optim have the half dtype, and ours have float32.
    private Tensor Read(BinaryReader reader, Func<Tensor> target, params ScalarType[] dtypes)
    {
        var header = TensorFile.ReadHeader(reader, "a state");
        if (!header.Shape.SequenceEqual(Owner.shape) || !dtypes.Contains(header.Dtype))
            throw new ArgumentException($"Mismatched tensor shape or data type while loading: expected the state of a {Owner.dtype} parameter of shape "
                + $"[{string.Join(", ", Owner.shape)}], got {header.Dtype} of shape [{string.Join(", ", header.Shape)}]; the file is of another model, or "
                + "corrupted", nameof(reader));
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        return target().copy_(TensorFile.ReadElements(reader, header)); // with the parameter's strides, which the file's tensor may not have
    }
}

using TorchSharp.Modules;
using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Optimization;

/// <summary>
/// Declares the moments of an optimizer's state, in the order of the file format. <see cref="MomentState"/> does for all moments what is the same for each:
/// it creates,
/// saves, loads, copies, moves, checks and frees them.
/// </summary>
/// <param name="Owner">The optimizer's name, for messages.</param>
/// <param name="Hosts">TorchSharp's classes of the same state, whose fields have the same names.</param>
/// <param name="Moments">At most three, because a kernel has three arguments for them. All have the dtype of the first. Their order is the file's.</param>
/// <param name="Steps">The field <c>step</c>, which counts updates and is the first entry of the file; null: no such field.</param>
internal sealed record MomentTable(string Owner, Type[] Hosts, Moment[] Moments, Moment.Counter? Steps = null)
{
    /// <summary>The moments, and the master copy that every optimizer may have.</summary>
    public Moment[] All { get; } = [.. Moments, Moment.Master];

    /// <summary>The count of updates in a state with this table, or in one of TorchSharp's.</summary>
    public long StepsOf(OptimizerState source) => Steps is null ? 0 : source is MomentState own ? Steps(own) : (long)Field(source, "step")!;

    /// <summary>All tensors of such a state, in the order of <see cref="All"/>; null for those that it does not have.</summary>
    /// <exception cref="InvalidOperationException">The state belongs to another kind of optimizer.</exception>
    public Tensor?[] Of(OptimizerState source)
    {
        if (source is MomentState own && own.Table == this) return Array.ConvertAll(All, m => m.Of(own));
        if (!Array.Exists(Hosts, host => host.IsInstanceOfType(source)))
            throw new InvalidOperationException($"expected the state of {Owner}, got {source.GetType().FullName}; load the state_dict of an optimizer of the "
                + "same kind");
        return Array.ConvertAll(All, m => m.IsMaster ? null : (Tensor?)Field(source, m.Name));
    }

    private static object? Field(OptimizerState source, string name) => source.GetType().GetField(name)!.GetValue(source);
}

/// <summary>One tensor of the state.</summary>
/// <param name="Name">The name of its field, which is PyTorch's.</param>
/// <param name="Of">Returns a reference to the field.</param>
/// <param name="Wanted">Whether options need the moment; null: it always exists, and has no flag in the file.</param>
/// <param name="Late">Whether the first update that needs the moment creates it, instead of the constructor.</param>
/// <param name="Squares">Whether it is a mean of squares, which no optimizer leaves below 0.</param>
internal sealed record Moment(string Name, Moment.Field Of, Func<ClipOptions, bool>? Wanted = null, bool Late = false, bool Squares = false)
{
    /// <summary>
    /// The float32 copy of a half-precision parameter, on which updates are computed. It is no moment: it always has float32, starts as a copy of the
    /// parameter, and follows the states in a file, so that files keep the format of <c>torch.optim</c>.
    /// </summary>
    public static readonly Moment Master = new(nameof(MomentState.master_param), s => ref s.master_param, o => o.master_weights == true);

    /// <summary>The field of a state that holds the tensor.</summary>
    public delegate ref Tensor? Field(MomentState state);

    /// <summary>The field of a state that counts updates.</summary>
    public delegate ref long Counter(MomentState state);

    public bool IsMaster => ReferenceEquals(this, Master);

    /// <summary>Whether the moment can be null.</summary>
    public bool IsOptional => Wanted is not null;

    /// <summary>Whether an update with these options uses the moment.</summary>
    public bool IsWanted(ClipOptions options) => Wanted is null || Wanted(options);
}

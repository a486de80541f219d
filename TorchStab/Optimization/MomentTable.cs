using TorchSharp.Modules;
using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Optimization;

/// <summary>
/// What an optimizer remembers of a parameter, each moment declared once, in the order of the file format. What happens to all moments alike happens in
/// <see cref="MomentState"/>: making, saving, loading, copying, moving, checking, freeing.
/// </summary>
/// <param name="Owner">Whose state it is, for messages.</param>
/// <param name="Hosts">TorchSharp's classes of the same state, whose fields have the same names.</param>
/// <param name="Moments">At most three, for a kernel takes no more; the first one's dtype is that of all.</param>
/// <param name="Steps">The field <c>step</c> that counts updates, which the file begins with; null where there is none.</param>
internal sealed record MomentTable(string Owner, Type[] Hosts, Moment[] Moments, Moment.Counter? Steps = null)
{
    /// <summary>The count of updates in a state with this table, or in one of TorchSharp's.</summary>
    public long StepsOf(OptimizerState source) => Steps is null ? 0 : source is MomentState own ? Steps(own) : (long)Field(source, "step")!;

    /// <summary>The moments of such a state; null for those that it has not.</summary>
    /// <exception cref="InvalidOperationException">It is of another kind of optimizer.</exception>
    public Tensor?[] Of(OptimizerState source)
    {
        if (source is MomentState own && own.Table == this) return Array.ConvertAll(Moments, m => m.Of(own));
        if (!Array.Exists(Hosts, host => host.IsInstanceOfType(source)))
            throw new InvalidOperationException($"expected the state of {Owner}, got {source.GetType().FullName}; load the state_dict of an optimizer of the same kind");
        return Array.ConvertAll(Moments, m => (Tensor?)Field(source, m.Name));
    }

    private static object? Field(OptimizerState source, string name) => source.GetType().GetField(name)!.GetValue(source);
}

/// <summary>One tensor of the state.</summary>
/// <param name="Name">Its field, by PyTorch's name.</param>
/// <param name="Of">The field itself.</param>
/// <param name="Wanted">The options that ask for it; null: it is always there, and has no flag in the file.</param>
/// <param name="Late">Whether it is made by the first update that needs it, not at the start.</param>
internal sealed record Moment(string Name, Moment.Field Of, Func<ClipOptions, bool>? Wanted = null, bool Late = false)
{
    /// <summary>The field of a state that holds the tensor.</summary>
    public delegate ref Tensor? Field(MomentState state);

    /// <summary>The field of a state that counts updates.</summary>
    public delegate ref long Counter(MomentState state);

    /// <summary>Whether it can be missing.</summary>
    public bool IsOptional => Wanted is not null;

    /// <summary>Whether an update under these options works with it.</summary>
    public bool IsWanted(ClipOptions options) => Wanted is null || Wanted(options);
}

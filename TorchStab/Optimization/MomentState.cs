using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>
/// The state an optimizer keeps for one parameter. Its tensors belong to no DisposeScope; <see cref="Dispose"/> frees them.
/// The file format is that of TorchSharp's optimizer of the same name.
/// </summary>
public abstract class MomentState : OptimizerState, IDisposable
{
    private protected MomentState(Parameter parameter) : base(parameter) { }

    private protected Parameter Owner => _parameter;

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

    /// <summary>Moves the tensors to <paramref name="device"/>.</summary>
    public override void to(Device device) => Map(t => Replace(t, t.to(device)));

    /// <summary>Hands the state over to the object that replaced its parameter, converted to that one's dtype and device.</summary>
    internal void Rebind(Parameter parameter)
    {
        _parameter = parameter;
        Map(t => Replace(t, t.to(parameter.dtype, parameter.device)));
    }

    /// <summary>Replaces every tensor of the state by what <paramref name="change"/> makes of it.</summary>
    private protected abstract void Map(Func<Tensor, Tensor> change);

    private protected static InvalidOperationException Foreign(OptimizerState source, string expected) =>
        new($"expected the state of {expected}, got {source.GetType().FullName}; load the state_dict of an optimizer of the same kind");

    /// <summary>Refuses tensors that are not shaped as the parameter, before anything is replaced.</summary>
    private protected void Require(params ReadOnlySpan<Tensor?> tensors)
    {
        foreach (var t in tensors)
            if (t is not null && !t.shape.SequenceEqual(Owner.shape))
                throw new InvalidOperationException($"expected state of shape [{string.Join(", ", Owner.shape)}], got [{string.Join(", ", t.shape)}]; " +
                    "load the state of an optimizer over the same model, its parameters in the same order");
    }

    private protected static bool Same(Tensor? a, Tensor? b) => a is null || b is null ? a is null && b is null : a.allclose(b);

    // .to() returns the same native tensor under a new handle where nothing changes.
    private static Tensor Replace(Tensor old, Tensor changed)
    {
        if (ReferenceEquals(old, changed)) return old;
        old.Dispose();
        return changed.DetachFromDisposeScope();
    }
}

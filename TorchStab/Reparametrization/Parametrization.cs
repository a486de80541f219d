using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>
/// Computes a weight from other parameters. It is the layer's child <c>parametrizations.weight</c>, with PyTorch's state-dict keys.
/// Created by <c>stab.nn.utils.parametrizations</c>.
/// </summary>
public abstract class Parametrization : nn.Module
{
    private protected Parametrization(string name) : base(name) { }

    /// <summary>The parameter with the weight's shape: the weight before the parametrization, to which initializers write.</summary>
    internal abstract Parameter Matrix { get; }

    /// <summary>The name of <see cref="Matrix"/> among this module's parameters.</summary>
    internal abstract string MatrixName { get; }

    /// <summary>The second parameter, with its name; null if there is none.</summary>
    internal virtual (string Name, Parameter Parameter)? Scale => null;

    /// <summary>The suffixes of the weight's name in older files, each with the key in this module.</summary>
    internal abstract IEnumerable<(string Suffix, string Key)> OlderKeys { get; }

    /// <summary>Computes the weight, differentiable with respect to the parameters.</summary>
    internal abstract Tensor Compute();

    /// <summary>Adapts the other tensors after <see cref="Matrix"/> was written, so that the weight approximates the new values.</summary>
    internal abstract void Follow();

    /// <summary>Multiplies the weight by a factor; false if the parametrization fixes the weight's scale.</summary>
    internal abstract bool TryScale(double factor);

    /// <summary>Writes the weight's values to the matrix and removes the matrix from this module, which no longer owns it.</summary>
    internal Parameter Release()
    {
        bool was = training;
        train(false); // computing the weight here must not count as a training step
        using (no_grad())
        using (var weight = Compute())
            Matrix.copy_(weight);
        train(was);
        Matrix.grad = null;
        ConditionallyRegisterParameter(MatrixName, (Parameter?)null);
        return Matrix;
    }

    /// <inheritdoc/>
    protected override nn.Module _to(Device device, ScalarType dtype, bool non_blocking)
    {
        StateMove.RequireFloatingPoint(dtype);
        return Moved(new StateMove(device, dtype, non_blocking));
    }

    /// <inheritdoc/>
    protected override nn.Module _to(DeviceType deviceType, int deviceIndex, bool non_blocking) =>
        Moved(new StateMove(new Device(deviceType, deviceIndex), null, non_blocking));

    /// <inheritdoc/>
    protected override nn.Module _to(ScalarType dtype, bool non_blocking)
    {
        StateMove.RequireFloatingPoint(dtype);
        return Moved(new StateMove(null, dtype, non_blocking));
    }

    /// <summary>Does nothing: the constructor has registered its tensors under PyTorch's names, which differ from the field names.</summary>
    protected override void RegisterComponents() { }

    /// <summary>Moves every parameter and buffer.</summary>
    private protected abstract void Move(StateMove move);

    /// <summary>Moves a parameter and registers the result at the position of the old one.</summary>
    private protected Parameter Moved(Parameter parameter, string name, StateMove move)
    {
        var moved = move.Of(parameter)!;
        if (ReferenceEquals(moved, parameter)) return parameter;
        ConditionallyRegisterParameter(name, moved);
        parameter.Dispose();
        return moved;
    }

    private Parametrization Moved(StateMove move)
    {
        Move(move);
        if (move.Device is not { } device) return this;
        _deviceType = device.type;
        _deviceIndex = device.type == DeviceType.CUDA ? device.index : -1;
        return this;
    }
}

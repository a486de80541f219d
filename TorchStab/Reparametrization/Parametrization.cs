using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>
/// How a weight is computed from other parameters: a child of the layer under <c>parametrizations.weight</c>, with PyTorch's state-dict keys.
/// Made by <c>stab.nn.utils.parametrizations</c>.
/// </summary>
public abstract class Parametrization : nn.Module
{
    private protected Parametrization(string name) : base(name) { }

    /// <summary>The parameter of the weight's shape: the weight as it was before, to which optimizers and initializers write.</summary>
    internal abstract Parameter Matrix { get; }

    /// <summary>Its name among the parameters of this module.</summary>
    internal abstract string MatrixName { get; }

    /// <summary>The parameter that follows the matrix, with its name; null without one.</summary>
    internal virtual (string Name, Parameter Parameter)? Scale => null;

    /// <summary>Names of older files: what follows the weight's name there, and the key within this module.</summary>
    internal abstract IEnumerable<(string Suffix, string Key)> OlderKeys { get; }

    /// <summary>The weight, in the graph of the parameters.</summary>
    internal abstract Tensor Compute();

    /// <summary>Makes the other tensors fit a <see cref="Matrix"/> that was written anew, so that the weight comes near to it.</summary>
    internal abstract void Follow();

    /// <summary>Multiplies the weight by a factor; false where its size is fixed.</summary>
    internal abstract bool TryScale(double factor);

    /// <summary>Takes the matrix out of this module, which no longer owns it, with the weight's values.</summary>
    internal Parameter Release()
    {
        bool was = training;
        train(false); // one more look at the weight is no training step
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

    /// <summary>Does nothing: the constructor has registered everything under PyTorch's names, which are not those of the fields.</summary>
    protected override void RegisterComponents() { }

    /// <summary>Takes every parameter and buffer along.</summary>
    private protected abstract void Move(StateMove move);

    /// <summary>The parameter where the move takes it, registered in the old one's place.</summary>
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

using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>The arguments of a <c>.to(device, dtype)</c>; null: not changed. Integer tensors (num_batches_tracked) keep their dtype.</summary>
internal sealed record StateMove(Device? Device, ScalarType? Dtype, bool NonBlocking)
{
    /// <summary>Throws for an integer dtype, which parameters cannot have.</summary>
    public static void RequireFloatingPoint(ScalarType dtype)
    {
        if (dtype is not (ScalarType.Float16 or ScalarType.BFloat16 or ScalarType.Float32 or ScalarType.Float64
            or ScalarType.ComplexFloat32 or ScalarType.ComplexFloat64))
            throw new ArgumentException($"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={Repr.Of(dtype)}", nameof(dtype));
    }

    /// <summary>Moves a parameter and its gradient and keeps <c>requires_grad</c>; returns the parameter itself if nothing changes.</summary>
    public Parameter? Of(Parameter? parameter)
    {
        if (parameter is null) return null;
        using var grad = parameter.grad;
        if (!Changes(parameter) && (grad is null || !Changes(grad))) return parameter;
        using var _ = no_grad();
        // Created outside the graph, so that the new parameter is a leaf.
        var moved = new Parameter(Converted(parameter), parameter.requires_grad);
        moved.DetachFromDisposeScope();
        if (grad is null) return moved;
        using var movedGrad = Converted(grad);
        moved.grad = movedGrad;
        return moved;
    }

    /// <summary>Moves a buffer; returns the buffer itself if nothing changes.</summary>
    public Tensor? Of(Tensor? buffer) => buffer is null || !Changes(buffer) ? buffer : Converted(buffer).DetachFromDisposeScope();

    private bool Changes(Tensor t) => t.dtype != Target(t) || (Device is { } d && (t.device_type != d.type || (d.index >= 0 && t.device_index != d.index)));

    private ScalarType Target(Tensor t) => Dtype is { } wanted && (t.is_floating_point() || t.is_complex()) ? wanted : t.dtype;

    private Tensor Converted(Tensor t) => t.to(Target(t), Device ?? t.device, copy: true, non_blocking: NonBlocking);
}

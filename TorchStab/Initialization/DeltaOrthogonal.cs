using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Initialization;

/// <summary>Xiao et al. 2018: an orthogonal matrix at the kernel's centre and zeros elsewhere, so that the convolution keeps the norm of its input.</summary>
internal static class DeltaOrthogonal
{
    public static Tensor Fill(Tensor tensor, double gain, Generator? generator)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        var shape = tensor.shape;
        if (shape.Length is < 3 or > 5)
            throw new ArgumentException($"Only tensors with 3, 4, or 5 dimensions are supported: got shape {Repr.List(tensor.shape)}", nameof(tensor));
        if (shape[1] > shape[0])
        {
            throw new ArgumentException($"`fan_in` must be less or equal than `fan_out`: got {shape[1]} input and {shape[0]} output channels, "
                + "and no such convolution keeps norms; orthogonal_ accepts any shape", nameof(tensor));
        }

        Orthogonal.Require(tensor, gain);
        if (tensor.NumberOfElements == 0) return tensor;
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var centre = tensor.fill_(Zero);
        for (int axis = shape.Length - 1; axis >= 2; axis--) centre = centre.select(axis, (shape[axis] - 1) / 2);
        Orthogonal.Fill(centre, gain, generator);
        return tensor;
    }
}

using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Initialization;

/// <summary>1 at the kernel's centre from each input channel to the output channel of the same number, 0 elsewhere.</summary>
internal static class Dirac
{
    public static Tensor Fill(Tensor tensor, long groups)
    {
        var shape = Check(tensor, groups);
        if (tensor.NumberOfElements == 0) return tensor;
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        long perGroup = shape[0] / groups, kept = Math.Min(perGroup, shape[1]);
        var centre = tensor.fill_(Zero);
        for (int axis = shape.Length - 1; axis >= 2; axis--) centre = centre.select(axis, shape[axis] / 2);
        for (long g = 0; g < groups; g++) centre.narrow(0, g * perGroup, kept).diagonal().fill_(One);
        return tensor;
    }

    private static long[] Check(Tensor tensor, long groups)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        var shape = tensor.shape;
        if (shape.Length is < 3 or > 5)
        {
            throw new ArgumentException($"Only tensors with 3, 4, or 5 dimensions are supported: got shape {Repr.List(tensor.shape)}; "
                + "a matrix takes eye_", nameof(tensor));
        }

        if (groups < 1) throw new ArgumentException(FormattableString.Invariant($"groups must be at least 1, got {groups}"), nameof(groups));
        if (shape[0] % groups != 0)
            throw new ArgumentException($"dim 0 must be divisible by groups: got shape {Repr.List(tensor.shape)} and groups = {groups}", nameof(groups));
        int empty = Array.IndexOf(shape, 0L, 2);
        if (empty > 0 && shape[0] > 0 && shape[1] > 0)
            throw new ArgumentException($"index 0 is out of bounds for dimension {empty} with size 0: the kernel has no centre", nameof(tensor));
        return shape;
    }
}

using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>
/// The number of elements and four statistics that identify a tensor of random values. Views, copies and permutations of a tensor have the same ones.
/// </summary>
internal readonly record struct Fingerprint(long Count, double Least, double Most, double Mean, double Square)
{
    public static Fingerprint Of(Tensor tensor)
    {
        if (tensor.NumberOfElements == 0 || tensor.is_complex()) return new(0, double.NaN, double.NaN, double.NaN, double.NaN);
        using var scope = NewDisposeScope();
        var values = tensor.detach().to(KernelSelection.WideDtype(tensor));
        var numbers = stack([values.min(), values.max(), values.mean(), values.square().mean()]).cpu().to(ScalarType.Float64).data<double>();
        return new(tensor.NumberOfElements, numbers[0], numbers[1], numbers[2], numbers[3]);
    }

    /// <summary>Whether both are fingerprints of the same values, up to a relative error.</summary>
    public bool IsNear(in Fingerprint other, double tolerance) => Count == other.Count
        && Near(Least, other.Least, tolerance) && Near(Most, other.Most, tolerance)
        && Near(Mean, other.Mean, tolerance) && Near(Square, other.Square, tolerance);

    private static bool Near(double x, double y, double tolerance) => Math.Abs(x - y) <= tolerance * (1 + Math.Abs(x));
}

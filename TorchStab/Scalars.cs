using TorchSharp;
using static TorchSharp.torch;

namespace TorchStab;

/// <summary>
/// Numbers that outlive the call they are handed to. TorchSharp makes an object of each number (<c>p.mul_(0.5)</c>), reads its address and lets go of it: a
/// collection at that moment frees the number before libtorch has read it, and the call fails ("Unknown scalar type"). Where only a result is lost, the caller
/// sees an exception and repeats the call. What writes state must not fail halfway, so every operation in place takes its numbers from here.
/// </summary>
internal static class Scalars
{
    internal static readonly Scalar Zero = 0, One = 1;

    private const int Kept = 8; // more than any statement hands over

    [ThreadStatic] private static Scalar[]? t_recent;
    [ThreadStatic] private static int t_next;

    internal static Scalar Held(double value) => Keep(value.ToScalar());

    internal static Scalar Held(long value) => Keep(value.ToScalar());

    /// <summary>The value of a tensor of one element, of any dtype.</summary>
    internal static double ReadNumber(Tensor tensor)
    {
        using var number = tensor.ToScalar(); // TorchSharp's (double)tensor does not keep the number alive while it reads it
        return number.ToDouble();
    }

    private static Scalar Keep(Scalar number) => (t_recent ??= new Scalar[Kept])[t_next = (t_next + 1) % Kept] = number;
}

using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Operations of libtorch on lists of tensors that write their first list. The overloads that take numbers as tensors, because the stable C interface has no
/// Scalars.
/// </summary>
internal static class Foreach
{
    /// <summary>Copies values, converted to the dtype of <paramref name="to"/>.</summary>
    public static void Copy(nint[] to, nint[] from)
    {
        var call = new NativeCall();
        call.Add(to);
        call.Add(from);
        call.Add(false); // non_blocking
        call.Run("aten::_foreach_copy_\0"u8);
    }

    /// <summary>x ← factor · x.</summary>
    public static void Multiply(nint[] values, double factor, StepNumbers numbers)
    {
        var call = new NativeCall();
        call.Add(values);
        call.Add(numbers.Of(factor));
        call.Run("aten::_foreach_mul_\0"u8, "Tensor\0"u8);
    }

    /// <summary>x ← factor · x, with factors that broadcast. That takes a launch for each tensor.</summary>
    public static void Multiply(nint[] values, nint[] factors)
    {
        var call = new NativeCall();
        call.Add(values);
        call.Add(factors);
        call.Run("aten::_foreach_mul_\0"u8, "List\0"u8);
    }

    /// <summary>x ← x + factor · a · b.</summary>
    public static void AddProducts(nint[] values, nint[] a, nint[] b, double factor) => AddProducts(values, a, b, [.. values.Select(_ => factor)]);

    /// <summary>x ← x + factor · a · b, with a factor for each tensor.</summary>
    public static void AddProducts(nint[] values, nint[] a, nint[] b, double[] factors) => AddTerms("aten::_foreach_addcmul_\0"u8, values, a, b, factors);

    /// <summary>x ← x + factor · a / b.</summary>
    public static void AddQuotients(nint[] values, nint[] a, nint[] b, double factor) =>
        AddTerms("aten::_foreach_addcdiv_\0"u8, values, a, b, [.. values.Select(_ => factor)]);

    private static void AddTerms(ReadOnlySpan<byte> name, nint[] values, nint[] a, nint[] b, double[] factors)
    {
        using var numbers = tensor(factors, device: CPU); // libtorch reads them there
        var call = new NativeCall();
        call.Add(values);
        call.Add(a);
        call.Add(b);
        call.Add(numbers.Handle);
        call.Run(name, "Tensor\0"u8);
    }
}

using System.Globalization;
using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>Checks arguments, with libtorch's messages, before anything is written: libtorch itself checks some of them after the draw.</summary>
internal static class InitArguments
{
    public static void RequireUniform(Tensor tensor, double from, double to, string nameFrom, string nameTo)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        double max = Largest(tensor, "check_uniform_bounds");
        if (!(Math.Abs(from) <= max)) throw new ArgumentException($"from is out of bounds for {CppName(tensor.dtype)}: got {Cpp(from)}", nameFrom);
        if (!(Math.Abs(to) <= max)) throw new ArgumentException($"to is out of bounds for {CppName(tensor.dtype)}: got {Cpp(to)}", nameTo);
        if (from > to)
            throw new ArgumentException($"uniform_ expects to return a [from, to) range, but found from={Cpp(from)} > to={Cpp(to)}", nameFrom);
        if (to - from > max)
        {
            throw new ArgumentException($"uniform_ expects to-from <= std::numeric_limits<{Part(tensor.dtype)}>::max(), but found to={Cpp(to)} and "
                + $"from={Cpp(from)} which result in to-from to exceed the limit", nameTo);
        }
    }

    public static void RequireNormal(Tensor tensor, double std, string nameStd)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        Largest(tensor, "normal_kernel_cpu");
        if (!(std >= 0)) throw new ArgumentException($"normal expects std >= 0.0, but found std {Cpp(std)}", nameStd);
    }

    /// <summary>Refuses a factor or summand that the dtype cannot hold, where libtorch would refuse it after the draw.</summary>
    public static void RequireFits(Tensor tensor, double value, string name)
    {
        if (double.IsFinite(value) && Math.Abs(value) > Largest(tensor, "fill"))
            throw new ArgumentException($"value cannot be converted to type {CppName(tensor.dtype)} without overflow: got {Cpp(value)}", name);
    }

    /// <summary>Refuses a parameter of a model that libtorch does not write in place.</summary>
    public static void RequireWritable(Tensor parameter, string name, string model)
    {
        if (Writable.IsLocked(parameter))
            throw new ArgumentException($"{name} cannot be written: it was made in inference mode, so that only that mode may change it; make the model "
                + "outside of it", model);
        if (Writable.Overlaps(parameter))
            throw new ArgumentException($"{name} cannot be written: it is expanded, so that its elements share memory; give it its own with clone()", model);
    }

    /// <summary>
    /// Refuses bounds without a number between them, and a negative deviation. The quantiles do not show these errors: in a tail they are equal.
    /// </summary>
    public static void RequireOrdered(double a, double b, double std)
    {
        if (std < 0) throw new ArgumentException($"normal expects std >= 0.0, but found std {Cpp(std)}", nameof(std));
        if (a > b || double.IsPositiveInfinity(a))
            throw new ArgumentException($"expected a least value a that is finite or -inf and not above b, got a={Cpp(a)} and b={Cpp(b)}", nameof(a));
        if (double.IsNegativeInfinity(b)) throw new ArgumentException("expected a greatest value b that is finite or inf, got b=-inf", nameof(b));
    }

    /// <summary>A number as a C++ stream prints it; libtorch's messages contain such numbers.</summary>
    public static string Cpp(double value) => double.IsNaN(value) ? "nan"
        : double.IsInfinity(value) ? value > 0 ? "inf" : "-inf"
        : value.ToString("g6", CultureInfo.InvariantCulture);

    private static double Largest(Tensor tensor, string kernel) => tensor.dtype switch
    {
        ScalarType.Float64 or ScalarType.ComplexFloat64 => double.MaxValue,
        ScalarType.Float32 or ScalarType.ComplexFloat32 => float.MaxValue,
        ScalarType.BFloat16 => 3.3895313892515355e38,
        ScalarType.Float16 => 65504,
        _ => throw new ArgumentException(
            $"\"{kernel}\" not implemented for '{Repr.CName(tensor.dtype)}': random schemes fill floating-point tensors", nameof(tensor)),
    };

    // libtorch draws the parts of a complex number as real numbers, and names their dtype.
    private static string Part(ScalarType dtype) => Repr.CName(dtype).Replace("Complex", "", StringComparison.Ordinal);

    private static string CppName(ScalarType dtype) => dtype switch
    {
        ScalarType.Float64 or ScalarType.ComplexFloat64 => "double",
        ScalarType.Float32 or ScalarType.ComplexFloat32 => "float",
        ScalarType.Float16 => "c10::Half",
        _ => "c10::BFloat16",
    };
}

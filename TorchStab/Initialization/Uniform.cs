using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>The uniform distribution.</summary>
internal static class Uniform
{
    public static Tensor Fill(Tensor tensor, double a, double b, Generator? generator)
    {
        InitArguments.RequireUniform(tensor, a, b, nameof(a), nameof(b));
        return Draw(tensor, a, b, generator);
    }

    /// <summary>Draws from ±bound. An error about the bound names the argument <paramref name="source"/> from which a scheme computed it.</summary>
    public static Tensor Symmetric(Tensor tensor, double bound, Generator? generator, string source)
    {
        InitArguments.RequireUniform(tensor, -bound, bound, source, source);
        return Draw(tensor, -bound, bound, generator);
    }

    /// <summary>Draws without checks. Uses the tensor's method, because TorchSharp's nn.init functions ignore the generator.</summary>
    internal static Tensor Draw(Tensor tensor, double a, double b, Generator? generator)
    {
        using var _ = no_grad();
        return tensor.uniform_(a, b, generator);
    }
}

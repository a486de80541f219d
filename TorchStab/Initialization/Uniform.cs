using static TorchSharp.torch;

namespace TorchStab.Initialization;

internal static class Uniform
{
    public static Tensor Fill(Tensor tensor, double a, double b, Generator? generator)
    {
        InitArguments.RequireUniform(tensor, a, b, nameof(a), nameof(b));
        return Draw(tensor, a, b, generator);
    }

    /// <summary>Uniform in ±bound, where a scheme computed the bound from the argument called <paramref name="source"/>.</summary>
    public static Tensor Symmetric(Tensor tensor, double bound, Generator? generator, string source)
    {
        InitArguments.RequireUniform(tensor, -bound, bound, source, source);
        return Draw(tensor, -bound, bound, generator);
    }

    /// <summary>Draws unchecked. The tensor's own method takes the generator; TorchSharp's nn.init functions drop it.</summary>
    internal static Tensor Draw(Tensor tensor, double a, double b, Generator? generator)
    {
        using var _ = no_grad();
        return tensor.uniform_(a, b, generator);
    }
}

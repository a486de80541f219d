using static TorchSharp.torch;

namespace TorchStab.Initialization;

/// <summary>The normal distribution.</summary>
internal static class Normal
{
    /// <summary>Draws from N(mean, std²). An error about the deviation names the argument <paramref name="source"/> from which a scheme computed it.</summary>
    public static Tensor Fill(Tensor tensor, double mean, double std, Generator? generator, string source = "std")
    {
        InitArguments.RequireNormal(tensor, std, source);
        using var _ = no_grad();
        return tensor.normal_(mean, std, generator);
    }
}

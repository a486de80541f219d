using static TorchSharp.torch;

namespace TorchStab.Initialization;

internal static class Normal
{
    /// <summary>N(mean, std²), where a scheme computed the deviation from the argument called <paramref name="source"/>.</summary>
    public static Tensor Fill(Tensor tensor, double mean, double std, Generator? generator, string source = "std")
    {
        InitArguments.RequireNormal(tensor, std, source);
        using var _ = no_grad();
        return tensor.normal_(mean, std, generator);
    }
}

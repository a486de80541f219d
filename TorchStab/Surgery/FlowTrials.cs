using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>
/// Finds the layer that feeds a norm, without an example: the module around both runs on noise of a shape that its first layer accepts. If the norm accepts
/// inputs of several ranks, the module must refuse those for which the pair cannot be folded, because the rank of later inputs is not known.
/// </summary>
internal static class FlowTrials
{
    /// <summary>The layer; or null, and the reason why none was found.</summary>
    public static (LinearView? layer, string? reason) Find(nn.Module module, IReadOnlyList<LinearView> candidates, BatchNormView norm)
    {
        const string unknown = "no layer was found that it certainly follows";
        if (module is not nn.Module<Tensor, Tensor> function) return (null, unknown);
        if (module.modules().Select(LinearView.Of).FirstOrDefault(l => l is not null) is not { } first) return (null, unknown);
        foreach (long[] shape in UsualShapes(first.Module))
        {
            using var proof = Try(function, shape, first.Weight);
            if (proof is null) continue;
            if (candidates.FirstOrDefault(c => proof.Holds(c, norm) == true) is not { } layer) return (null, unknown);
            return norm.TakesSeveralRanks && !RefusesOtherRanks(function, first, shape, layer, norm)
                ? (null, "it accepts inputs of several ranks, and the output of the layer before it has its channels where the norm's are for one of them only")
                : (layer, null);
        }
        return (null, unknown);
    }

    /// <summary>Whether the pair can be folded for every other rank that the module accepts.</summary>
    private static bool RefusesOtherRanks(nn.Module<Tensor, Tensor> module, LinearView first, long[] shape, LinearView layer, BatchNormView norm)
    {
        // A convolution also accepts an image without a batch, whose height might equal the number of channels. Trials cannot cover all sizes.
        if (layer.Module is Convolution) return false;
        long[] other = first.Module is Linear ? [shape[0], norm.Channels, shape[1]] : shape[1..];
        using var proof = Try(module, other, first.Weight);
        return proof is null || proof.Holds(layer, norm) == true;
    }

    /// <summary>A proof on noise; null if the module refuses the shape.</summary>
    private static FlowProof? Try(nn.Module<Tensor, Tensor> module, long[] shape, Tensor like)
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(20150211, CPU);
        try
        {
            return FlowProof.Within(module, randn(shape, ScalarType.Float64, CPU, generator: random).to(like.dtype).to(like.device));
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            return null;
        }
    }

    // Sizes of images and sequences for which networks are commonly written.
    private static IEnumerable<long[]> UsualShapes(nn.Module layer) => layer switch
    {
        Linear l => [[4, l.in_features]],
        Convolution c => new long[] { 32, 28, 64, 224 }.Where(size => c.kernel_size.Length < 3 || size <= 32)
            .Select(size => (long[])[2, c.in_channels, .. Enumerable.Repeat(size, c.kernel_size.Length)]),
        _ => [],
    };
}

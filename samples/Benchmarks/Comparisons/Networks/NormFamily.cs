using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Comparisons.Networks;

/// <summary>Whose norms a network is built with.</summary>
/// <param name="BatchNorm">For so many channels.</param>
/// <param name="BatchNormReLU">With a ReLU after it.</param>
/// <param name="LayerNorm">Over so many features.</param>
internal sealed record NormFamily(Func<long, nn.Module<Tensor, Tensor>> BatchNorm, Func<long, nn.Module<Tensor, Tensor>> BatchNormReLU,
    Func<long, nn.Module<Tensor, Tensor>> LayerNorm)
{
    public static NormFamily Libtorch { get; } = new(
        c => nn.BatchNorm2d(c), c => nn.Sequential(nn.BatchNorm2d(c), nn.ReLU(inplace: true)), c => nn.LayerNorm(c));

    public static NormFamily TorchStab { get; } = new(
        c => stab.nn.BatchNorm2d(c), c => stab.nn.BatchNormReLU2d(c), c => stab.nn.LayerNorm(c));
}

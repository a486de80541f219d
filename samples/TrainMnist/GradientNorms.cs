using TorchSharp;
using static TorchSharp.torch;

namespace TrainMnist;

/// <summary>Norms of the gradients of a backward pass: of each layer's weight, first to last, and of all parameters together.</summary>
internal sealed record GradientNorms(double[] Layers, double Total)
{
    public static GradientNorms Of(DeepNetwork network)
    {
        using var scope = NewDisposeScope();
        double[] layers = [.. network.Linears.Select(linear => linear.weight!.grad!.norm().ToDouble())];
        double total = network.parameters().Sum(p => Math.Pow(p.grad!.norm().ToDouble(), 2));
        return new GradientNorms(layers, Math.Sqrt(total));
    }

    public static GradientNorms Mean(IReadOnlyList<GradientNorms> samples) => new(
        [.. Enumerable.Range(0, samples[0].Layers.Length).Select(i => samples.Average(s => s.Layers[i]))],
        samples.Average(s => s.Total));
}

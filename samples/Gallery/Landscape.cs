using TorchStab.Samples;
using static TorchSharp.torch;
using Parameter = TorchSharp.Modules.Parameter;

namespace Gallery;

/// <summary>What the loss does along one gradient.</summary>
/// <param name="LossRange">Largest minus smallest loss on the way.</param>
/// <param name="GradientChange">The largest distance of a gradient on the way from the one at the start (l2).</param>
/// <param name="Smoothness">The largest change of the gradient over the length of the way: the effective β.</param>
internal sealed record Slope(double LossRange, double GradientChange, double Smoothness);

/// <summary>Walks along a batch's gradient, looks at loss and gradient on the way, and comes back.</summary>
internal sealed class Landscape(Perceptron network)
{
    private readonly Parameter[] _parameters = [.. network.parameters()];

    /// <param name="images">The batch, the same all along.</param>
    /// <param name="labels">Its labels.</param>
    /// <param name="rates">How far: parameters minus each rate times the gradient at the start.</param>
    public Slope Look(Tensor images, Tensor labels, IEnumerable<double> rates)
    {
        using var scope = NewDisposeScope();
        var start = _parameters.Select(p => p.detach().clone()).ToArray();
        var (loss, gradient) = Gradient(images, labels);
        double length = Norm(gradient);
        var seen = new List<(double Loss, double Change, double Beta)> { (loss, 0, 0) };
        foreach (double rate in rates)
        {
            MoveTo(start, gradient, rate);
            var (there, changed) = Gradient(images, labels);
            double change = Norm([.. changed.Zip(gradient, (a, b) => a - b)]);
            seen.Add((there, change, change / (rate * length)));
        }
        MoveTo(start, gradient, 0);
        return new Slope(seen.Max(s => s.Loss) - seen.Min(s => s.Loss), seen.Max(s => s.Change), seen.Max(s => s.Beta));
    }

    private (double Loss, Tensor[] Gradient) Gradient(Tensor images, Tensor labels)
    {
        var loss = nn.functional.cross_entropy(network.call(images), labels);
        return (loss.item<float>(), [.. autograd.grad([loss], _parameters)]);
    }

    private void MoveTo(Tensor[] start, Tensor[] gradient, double rate)
    {
        using var noGrad = no_grad();
        for (int i = 0; i < _parameters.Length; i++) _parameters[i].copy_(start[i]).add_(gradient[i], alpha: -rate);
    }

    private static double Norm(IEnumerable<Tensor> tensors) => TorchStab.stab.nn.utils.get_total_norm(tensors);
}

using TorchSharp;
using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;
using Linear = TorchSharp.Modules.Linear;

namespace Gallery;

/// <summary>What several experiments do with networks.</summary>
internal static class Nets
{
    /// <summary>Fills weights with <paramref name="scheme"/> and biases with 0.</summary>
    public static Action<Linear> Init(Func<Tensor, Tensor> scheme) => linear =>
    {
        scheme(linear.weight!);
        stab.nn.init.zeros_(linear.bias!);
    };

    /// <summary>A batch of images that is drawn anew from <paramref name="random"/>; in the caller's DisposeScope.</summary>
    public static (Tensor Images, Tensor Labels) Draw(this Mnist data, int size, Generator random) =>
        data.Batch(randint(data.Count, [size], generator: random));

    /// <summary>The share of <paramref name="data"/> that the network gets right, and the mean loss, in eval mode; the mode comes back.</summary>
    public static (double Accuracy, double Loss) Evaluate(this nn.Module<Tensor, Tensor> network, Mnist data, int batch = 1000)
    {
        using var noGrad = no_grad();
        bool training = network.training;
        network.eval();
        double right = 0, loss = 0;
        for (long start = 0; start < data.Count; start += batch)
        {
            using var scope = NewDisposeScope();
            var (images, labels) = data.Batch(arange(start, Math.Min(start + batch, data.Count)));
            var output = network.call(images);
            right += output.argmax(1).eq(labels).sum().ToInt64();
            loss += nn.functional.cross_entropy(output, labels, reduction: nn.Reduction.Sum).ToDouble();
        }
        network.train(training);
        return (right / data.Count, loss / data.Count);
    }

    /// <summary>One step on a batch that is drawn from <paramref name="data"/>.</summary>
    /// <returns>The batch's loss before the step.</returns>
    public static double Step(this nn.Module<Tensor, Tensor> network, optim.Optimizer optimizer, Mnist data, int batch, Generator random)
    {
        using var scope = NewDisposeScope();
        var (images, labels) = data.Draw(batch, random);
        optimizer.zero_grad();
        var loss = nn.functional.cross_entropy(network.call(images), labels);
        loss.backward();
        optimizer.step();
        return loss.ToDouble();
    }

    /// <summary>Standard deviation of each tensor's elements.</summary>
    public static double[] Deviations(IEnumerable<Tensor> tensors) => [.. tensors.Select(t => t.std().ToDouble())];
}

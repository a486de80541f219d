using TorchSharp;
using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;
using Linear = TorchSharp.Modules.Linear;

namespace Gallery;

/// <summary>How a training goes.</summary>
/// <param name="Images">Where batches are drawn from.</param>
/// <param name="Batch">Images of a batch.</param>
/// <param name="Steps">How many.</param>
/// <param name="Seed">Of the order of the images.</param>
internal sealed record Plan(Images Images, int Batch, int Steps, int Seed);

/// <summary>What several experiments do with networks.</summary>
internal static class Nets
{
    /// <summary>What guessing among ten classes costs.</summary>
    public static readonly double Guessing = Math.Log(Mnist.Classes);

    /// <summary>Fills weights with <paramref name="scheme"/> and biases with 0.</summary>
    public static Action<Linear> Init(Func<Tensor, Tensor> scheme) => linear =>
    {
        scheme(linear.weight!);
        stab.nn.init.zeros_(linear.bias!);
    };

    /// <summary>He's for ReLU, normal.</summary>
    public static Tensor He(Tensor weight) => stab.nn.init.kaiming_normal_(weight, nonlinearity: Nonlinearity.ReLU);

    /// <summary>Xavier's, normal.</summary>
    public static Tensor Xavier(Tensor weight) => stab.nn.init.xavier_normal_(weight);

    /// <summary>Takes the steps of a plan; a loss that is not finite ends it.</summary>
    /// <param name="network">What learns.</param>
    /// <param name="lab">Shows progress.</param>
    /// <param name="optimizer">Of its parameters.</param>
    /// <param name="plan">How many steps of what.</param>
    /// <param name="look">What to do every so many steps; null: nothing.</param>
    /// <param name="every">How many.</param>
    /// <returns>The loss of each step's batch before the step, all finite; fewer than the plan has if the run was lost.</returns>
    public static double[] Train(this nn.Module<Tensor, Tensor> network, Lab lab, optim.Optimizer optimizer, Plan plan, Action? look = null, int every = 1)
    {
        using var random = new Generator((ulong)plan.Seed, CPU);
        var losses = new List<double>();
        foreach (int step in lab.Each(plan.Steps))
        {
            double loss = network.Step(optimizer, plan, random);
            if (!double.IsFinite(loss)) break;
            losses.Add(loss);
            if ((step + 1) % every == 0) look?.Invoke();
        }
        return [.. losses];
    }

    /// <summary>The step after which a run was lost; null: it was not.</summary>
    public static int? Lost(double[] losses, Plan plan) => losses.Length < plan.Steps ? losses.Length : null;

    /// <summary>A loss, at most that of guessing, which is also that of a network that was lost to NaN.</summary>
    public static double Capped(double loss) => loss < Guessing ? loss : Guessing;

    /// <summary>Mean loss of the first steps. A step costs at most what guessing does, and so do steps that a lost run never took.</summary>
    public static double Early(double[] losses, int steps) =>
        Enumerable.Range(0, steps).Average(i => i < losses.Length ? Capped(losses[i]) : Guessing);

    /// <summary>Means of so many steps each.</summary>
    public static double[] Chunks(double[] losses, int steps) => [.. losses.Chunk(steps).Where(c => c.Length == steps).Select(c => c.Average())];

    /// <summary>The share of <paramref name="data"/> that the network gets right, and the mean loss, in eval mode; the mode comes back.</summary>
    public static (double Accuracy, double Loss) Evaluate(this nn.Module<Tensor, Tensor> network, Images data, int batch = 1000)
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

    /// <summary>Standard deviation of each tensor's elements.</summary>
    public static double[] Deviations(IEnumerable<Tensor> tensors) => [.. tensors.Select(t => t.std().ToDouble())];

    private static double Step(this nn.Module<Tensor, Tensor> network, optim.Optimizer optimizer, Plan plan, Generator random)
    {
        using var scope = NewDisposeScope();
        var (images, labels) = plan.Images.Draw(plan.Batch, random);
        optimizer.zero_grad();
        var loss = nn.functional.cross_entropy(network.call(images), labels);
        loss.backward();
        optimizer.step();
        return loss.ToDouble();
    }
}

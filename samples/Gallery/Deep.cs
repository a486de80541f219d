using TorchSharp;
using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Gallery;

/// <summary>A deep perceptron on MNIST, as the experiments on depth compare them.</summary>
internal sealed record Deep(int Depth, string Activation, Func<Tensor, Tensor> Init, bool Norm = false, int Width = 100)
{
    private const int Probe = 500;

    public Perceptron Make() => new(new PerceptronShape(Depth, Width),
        () => Activation switch { "sigmoid" => nn.Sigmoid(), "tanh" => nn.Tanh(), _ => nn.ReLU() },
        Norm ? () => stab.nn.BatchNorm1d(Width) : null, Nets.Init(Init));

    /// <summary>
    /// Trains it by SGD: “loss” (means of some steps), “accuracy” (test images, at the end), and before training “gradients” and
    /// “inputs” (norm and standard deviation of what goes into each layer's activation). Score: accuracy on the validation images.
    /// </summary>
    /// <param name="lab">The data.</param>
    /// <param name="plan">How many steps of what.</param>
    /// <param name="rate">Learning rate.</param>
    /// <param name="momentum">Of SGD.</param>
    /// <param name="early">“early” is the mean loss of so many first steps.</param>
    public Trained Train(Lab lab, Plan plan, double rate, double momentum = 0, int? early = null)
    {
        using var network = Make();
        var (gradients, inputs) = Look(network, plan.Images);
        using var sgd = stab.optim.SGD(network.parameters(), rate, momentum, nonFinite: NonFinitePolicy.Propagate);
        double[] losses = network.Train(lab, sgd, plan);
        return Trained.Of(network.Evaluate(lab.Validation).Accuracy, Nets.Lost(losses, plan), ("loss", Nets.Chunks(losses, Window(plan.Steps))),
            ("early", [Nets.Early(losses, early ?? plan.Steps)]), ("end", [Nets.Early([.. losses.Skip(plan.Steps - Window(plan.Steps))], Window(plan.Steps))]),
            ("accuracy", [network.Evaluate(lab.Test).Accuracy]), ("gradients", gradients), ("inputs", inputs));
    }

    /// <summary>How many steps a point of “loss” is the mean of.</summary>
    public static int Window(int steps) => Math.Max(1, steps / 25);

    /// <summary>By what factor a series over the layers changes a layer, on the way from the last to the first (geometric mean).</summary>
    public static double Factor(double[] byLayer) => Math.Pow(byLayer[0] / byLayer[^1], 1.0 / (byLayer.Length - 1));

    private static (double[] Gradients, double[] Inputs) Look(Perceptron network, Images data)
    {
        using var scope = NewDisposeScope();
        var (images, labels) = data.Batch(arange(Probe));
        var trace = network.Trace(images);
        var gradients = autograd.grad([functional.cross_entropy(trace.Output, labels)], [.. trace.PreActivations]);
        return ([.. gradients.Select(g => g.norm().ToDouble())], Nets.Deviations(trace.PreActivations));
    }
}

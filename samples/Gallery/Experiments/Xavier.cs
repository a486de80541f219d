using ScottPlot;
using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;

namespace Gallery.Experiments;

/// <summary>Standard deviations by layer before and after training, and test accuracy by epoch.</summary>
internal sealed record Spreads(double[] Activations, double[] Gradients);

/// <inheritdoc cref="Spreads"/>
internal sealed record XavierRun(Spreads Before, Spreads After, double[] Accuracy);

/// <summary>Xavier against plain initializations with tanh: variance by layer, before and after training.</summary>
internal sealed class Xavier : Experiment<XavierRun[]>
{
    private const int Depth = 5, Width = 300, Batch = 100, Probe = 500, StepsPerEpoch = 100;
    private const double LearningRate = 0.05;
    private static readonly (string Name, Func<Tensor, Tensor> Fill)[] Schemes =
    [
        ("normal, σ = 0.01", w => stab.nn.init.normal_(w, 0, 0.01)),
        ("uniform ±1/√n", w => stab.nn.init.uniform_(w, -1 / Math.Sqrt(w.shape[1]), 1 / Math.Sqrt(w.shape[1]))),
        ("Xavier", w => stab.nn.init.xavier_uniform_(w)),
    ];

    public override int Number => 3;

    public override string Name => "xavier";

    public override string Title => "Xavier initialization keeps variance through tanh layers";

    public override string Claim =>
        "Under plain initialization the variance of activations shrinks from layer to layer forward, that of gradients backward. Xavier's variance 2/(n_in + n_out) "
        + "keeps both nearly level at the start, still more so after training, and the network learns better.";

    public override string Source =>
        "Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks, §4.2 and figures 6 to 8 (their standard initialization is the uniform ±1/√n)";

    public override string SetUp(Lab lab) =>
        $"{Depth} hidden tanh layers of {Width} units on MNIST ({lab.Train.Count} training images; the paper: up to 5 layers of 1000 on larger sets), SGD {LearningRate} with batches of {Batch}, "
        + $"{Epochs(lab)} epochs of {StepsPerEpoch} steps, biases 0 at the start. Measured on {Probe} test images: standard deviation of each layer's activations, and of the loss's gradient with respect to what "
        + "goes into them.";

    protected override XavierRun[] Measure(Lab lab, int seed) => [.. lab.Each(Schemes).Select(scheme => Train(lab, seed, scheme.Fill))];

    protected override Finding Conclude(Lab lab, IReadOnlyList<XavierRun[]> runs)
    {
        Measured Drift(int scheme, Func<XavierRun, double[]> spread) => Measured.Of(runs, run => Factor(spread(run[scheme])), "0.00");
        Measured Accuracy(int scheme) => Measured.Of(runs, run => run[scheme].Accuracy[^1], "0.0 %");
        var rows = Schemes.Select((scheme, i) => new ResultRow(scheme.Name,
            [Drift(i, r => r.Before.Activations), Drift(i, r => r.Before.Gradients), Drift(i, r => r.After.Activations), Drift(i, r => r.After.Gradients), Accuracy(i)]));
        var (xavier, standard) = (Schemes.Length - 1, Schemes.Length - 2);
        Check Level(string what, Func<XavierRun, double[]> spread) =>
            Check.Above($"{what} differ more between layers with the uniform ±1/√n than with Xavier", Drift(standard, spread), Drift(xavier, spread));
        return new Finding(
            [
                Level("Before training, activations", r => r.Before.Activations), Level("Before training, gradients", r => r.Before.Gradients),
                Level("After training, gradients", r => r.After.Gradients), Check.Above("Xavier learns better than the uniform ±1/√n", Accuracy(xavier), Accuracy(standard)),
            ],
            [new ResultTable("Largest standard deviation over the smallest, of the hidden layers; accuracy on the test images",
                ["initialization", "activations before", "gradients before", "activations after", "gradients after", "accuracy"], [.. rows])],
            Draw(runs));
    }

    private static int Epochs(Lab lab) => lab.Pick(10, 1);

    private static double Factor(double[] values) => values.Max() / values.Min();

    private static XavierRun Train(Lab lab, int seed, Func<Tensor, Tensor> fill)
    {
        manual_seed(seed);
        using var network = new Perceptron(new PerceptronShape(Depth, Width), () => nn.Tanh(), initialize: Nets.Init(fill));
        using var sgd = stab.optim.SGD(network.parameters(), LearningRate);
        using var random = new Generator((ulong)seed, CPU);
        var before = Look(network, lab.Test);
        var accuracy = new List<double> { network.Evaluate(lab.Test).Accuracy };
        foreach (int _ in lab.Each(Epochs(lab)))
        {
            foreach (int step in lab.Each(StepsPerEpoch)) network.Step(sgd, lab.Train, Batch, random);
            accuracy.Add(network.Evaluate(lab.Test).Accuracy);
        }
        return new XavierRun(before, Look(network, lab.Test), [.. accuracy]);
    }

    private static Spreads Look(Perceptron network, Mnist data)
    {
        using var scope = NewDisposeScope();
        var (images, labels) = data.Batch(arange(Probe));
        var trace = network.Trace(images);
        var gradients = autograd.grad([nn.functional.cross_entropy(trace.Output, labels)], [.. trace.PreActivations]);
        return new Spreads(Nets.Deviations(trace.Activations), Nets.Deviations(gradients));
    }

    private static Chart Draw(IReadOnlyList<XavierRun[]> runs)
    {
        var chart = new Chart();
        var activations = chart.AddPanel("Activations, before training and after (dashed)", "layer, first to last", "standard deviation", logY: true);
        var gradients = chart.AddPanel("Gradients, before training and after (dashed)", "layer, first to last", "standard deviation", logY: true);
        var accuracy = chart.AddPanel("Accuracy on the test images", "epoch", "%");
        for (int i = 0; i < Schemes.Length; i++)
        {
            int scheme = i;
            (double, Measured)[] Points(Func<XavierRun, double[]> values, double first) =>
                [.. runs[0][scheme] is var one ? Enumerable.Range(0, values(one).Length).Select(at => (at + first, Measured.Of(runs, run => values(run[scheme])[at]))) : []];
            activations.Series(Schemes[i].Name, Points(r => r.Before.Activations, 1), i);
            activations.Series("", Points(r => r.After.Activations, 1), i, dashed: true);
            gradients.Series(Schemes[i].Name, Points(r => r.Before.Gradients, 1), i);
            gradients.Series("", Points(r => r.After.Gradients, 1), i, dashed: true);
            accuracy.Series(Schemes[i].Name, Points(r => [.. r.Accuracy.Select(a => 100 * a)], 0), i);
        }
        activations.Legend(Alignment.LowerLeft);
        accuracy.Legend(Alignment.MiddleRight);
        return chart;
    }
}

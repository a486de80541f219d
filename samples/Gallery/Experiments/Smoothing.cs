using ScottPlot;
using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Gallery.Experiments;

/// <summary>Of one network: the slope at each look, training loss between looks, and how unsteady the inputs of the last ReLUs were.</summary>
internal sealed record SmoothingRun(Slope[] Slopes, double[] Losses, double Drift)
{
    /// <summary>The median over training: the first steps of a network without norms would rule a mean.</summary>
    public double Typical(Func<Slope, double> quantity) => Slopes.Select(quantity).Order().ElementAt(Slopes.Length / 2);
}

/// <summary>Why BatchNorm helps: a smoother loss, not a steadier distribution.</summary>
internal sealed class Smoothing : Experiment<SmoothingRun[]>
{
    private const int Depth = 8, Width = 100, Batch = 128, StepsPerLook = 20;
    private const double LearningRate = 0.1;
    /// <summary>From half a step to four, as in the paper.</summary>
    private static readonly double[] Rates = [.. new[] { 0.5, 1, 2, 3, 4 }.Select(factor => factor * LearningRate)];
    private static readonly (string Name, Func<Module<Tensor, Tensor>?> Norm)[] Networks =
        [("without", () => null), ("BatchNorm", () => stab.nn.BatchNorm1d(Width)), ("noisy BatchNorm", () => new NoisyBatchNorm(Width))];

    public override int Number => 6;

    public override string Name => "smoothing";

    public override string Title => "BatchNorm helps by smoothing the loss, not by steadying distributions";

    public override string Claim =>
        "Along a training step the loss, and even more its gradient, vary less with BatchNorm: the landscape is smoother. Noise after BatchNorm that makes distributions less steady than in the plain network "
        + "hardly harms: it still trains better than the plain network.";

    public override string Source => "Santurkar, Tsipras, Ilyas & Madry 2018, How does batch normalization help optimization?, figures 2 and 4 and appendix A";

    public override string SetUp(Lab lab) =>
        $"{Depth} hidden ReLU layers of {Width} units on MNIST (the paper: VGG on CIFAR-10), kaiming_normal_, SGD {LearningRate}, batches of {Batch}, {Looks(lab) * StepsPerLook} steps. Every {StepsPerLook} steps: loss and gradient of one "
        + "batch at half a step to four steps along its gradient; medians over training. Unsteadiness: how much the mean of what goes into a ReLU of the last hidden layer, over a fixed batch, moves between looks (standard "
        + "deviation over training, mean over units, relative to the deviation over the batch).";

    protected override SmoothingRun[] Measure(Lab lab, int seed) => [.. lab.Each(Networks).Select(network => Train(lab, seed, network.Norm))];

    protected override Finding Conclude(Lab lab, IReadOnlyList<SmoothingRun[]> runs)
    {
        Measured Of(int i, Func<SmoothingRun, double> value, string format = "0.000") => Measured.Of(runs, run => value(run[i]), format);
        Measured Range(int i) => Of(i, run => run.Typical(s => s.LossRange));
        Measured Change(int i) => Of(i, run => run.Typical(s => s.GradientChange));
        Measured Beta(int i) => Of(i, run => run.Typical(s => s.Smoothness), "0.0");
        Measured Loss(int i) => Of(i, run => run.Losses[^1], "0.0000");
        Measured Drift(int i) => Of(i, run => run.Drift, "0.00");
        return new Finding(
            [
                Check.Above("Without BatchNorm the loss varies more along the step", Range(0), Range(1)),
                Check.Above("Without, the gradient changes more along the step", Change(0), Change(1)),
                Check.Above("Without, the effective β is larger", Beta(0), Beta(1)),
                Check.Above("Noisy BatchNorm has less steady inputs than the plain network", Drift(2), Drift(0)),
                Check.Above("Even so the plain network ends at a higher training loss", Loss(0), Loss(2)),
            ],
            [new ResultTable("Along the step (medians over training); training loss at the end; unsteadiness of the last hidden layer's inputs",
                ["network", "range of the loss", "change of the gradient", "effective β", "training loss", "unsteadiness"],
                [.. Networks.Select((network, i) => new ResultRow(network.Name, [Range(i), Change(i), Beta(i), Loss(i), Drift(i)]))])],
            Draw(runs));
    }

    private static int Looks(Lab lab) => lab.Pick(40, 3);

    private static SmoothingRun Train(Lab lab, int seed, Func<Module<Tensor, Tensor>?> norm)
    {
        manual_seed(seed);
        using var network = new Perceptron(new PerceptronShape(Depth, Width), () => ReLU(), norm, Nets.Init(w => stab.nn.init.kaiming_normal_(w, nonlinearity: Nonlinearity.ReLU)));
        using var sgd = stab.optim.SGD(network.parameters(), LearningRate, nonFinite: NonFinitePolicy.Propagate);
        using var random = new Generator((ulong)seed, CPU);
        var landscape = new Landscape(network);
        var slopes = new List<Slope>();
        var losses = new List<double>();
        var means = new List<double[]>();
        foreach (int _ in lab.Each(Looks(lab)))
        {
            losses.Add(lab.Each(StepsPerLook).Select(_ => network.Step(sgd, lab.Train, Batch, random)).Average());
            using var scope = NewDisposeScope();
            var (images, labels) = lab.Train.Draw(Batch, random);
            slopes.Add(landscape.Look(images, labels, Rates));
            means.Add(Means(network, lab.Train));
        }
        double drift = Enumerable.Range(0, Width).Average(unit => new Measured([.. means.Select(m => m[unit])]).Deviation);
        return new SmoothingRun([.. slopes], [.. losses], drift);
    }

    /// <summary>The mean of what goes into each ReLU of the last hidden layer, over a fixed batch, in units of the layer's deviation.</summary>
    private static double[] Means(Perceptron network, Mnist data)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var inputs = network.Trace(data.Batch(arange(Batch)).Images).PreActivations[^1];
        var relative = inputs.mean([0]) / inputs.std(0).mean();
        return [.. relative.to(ScalarType.Float64).data<double>()];
    }

    private static Chart Draw(IReadOnlyList<SmoothingRun[]> runs)
    {
        var chart = new Chart();
        Panel("Training loss", "cross-entropy", run => run.Losses).Legend(Alignment.UpperRight);
        Panel("Range of the loss along the step", "largest minus smallest", run => [.. run.Slopes.Select(s => s.LossRange)]);
        Panel("Change of the gradient along the step", "largest l2 distance", run => [.. run.Slopes.Select(s => s.GradientChange)]);
        Panel("Effective β along the step", "gradient change over distance", run => [.. run.Slopes.Select(s => s.Smoothness)]);
        return chart;

        ChartPanel Panel(string title, string y, Func<SmoothingRun, double[]> values)
        {
            var panel = chart.AddPanel(title, "step", y, logY: true);
            for (int i = 0; i < Networks.Length; i++)
            {
                int network = i;
                panel.Series(Networks[i].Name, [.. Enumerable.Range(0, runs[0][i].Losses.Length).Select(at => ((at + 1.0) * StepsPerLook, Measured.Of(runs, run => values(run[network])[at])))], i, markers: false);
            }
            return panel;
        }
    }
}

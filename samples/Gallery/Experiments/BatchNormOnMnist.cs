using ScottPlot;
using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;

namespace Gallery.Experiments;

/// <summary>Of one network, at each look: test accuracy, and the 15th, 50th and 85th percentile of what goes into each unit of the last hidden layer.</summary>
internal sealed record BatchNormRun(double[] Accuracy, double[][,] Percentiles);

/// <summary>BatchNorm on MNIST, as in figure 1 of its paper.</summary>
internal sealed class BatchNormOnMnist : Experiment<IReadOnlyDictionary<(bool Normalized, double Rate), BatchNormRun>>
{
    private const int Depth = 3, Width = 100, Batch = 60, Probe = 500, Looks = 30, ShownUnit = 0;
    private const double Deviation = 0.1, Goal = 0.9;
    private static readonly double[] Rates = [0.1, 0.5, 2, 8];
    private static readonly (bool Normalized, double Rate)[] Networks = [.. from normalized in new[] { false, true } from rate in Rates select (normalized, rate)];

    public override int Number => 5;

    public override string Name => "batchnorm";

    public override string Title => "BatchNorm trains faster, to a higher accuracy, on steadier inputs";

    public override string Claim =>
        "With BatchNorm before each sigmoid the network reaches a higher test accuracy and gets there sooner, and the distribution of what goes into a sigmoid is much more stable over training.";

    public override string Source => "Ioffe & Szegedy 2015, Batch normalization: accelerating deep network training by reducing internal covariate shift, §4.1 and figure 1";

    public override string SetUp(Lab lab) =>
        $"The paper's network: {Depth} hidden layers of {Width} sigmoid units, small normal weights (σ = {Deviation}), batches of {Batch}. {lab.Train.Count} training images of MNIST and {Looks * StepsPerLook(lab)} steps of SGD (the paper: "
        + $"60000 and 50000). It does not give its learning rate: each network is compared at the one of {string.Join(", ", Rates)} at which it ends best. {Looks} times: accuracy on the test images, and percentiles over {Probe} training "
        + "images of what goes into each unit of the last hidden layer, in training mode. Drift of a unit: the standard deviation of its median over training, in units of the mean distance of its 15th to its 85th percentile; mean over the units.";

    protected override IReadOnlyDictionary<(bool Normalized, double Rate), BatchNormRun> Measure(Lab lab, int seed) =>
        lab.Each(Networks).Select(network => (network, Run: Train(lab, seed, network))).ToDictionary(pair => pair.network, pair => pair.Run);

    protected override Finding Conclude(Lab lab, IReadOnlyList<IReadOnlyDictionary<(bool Normalized, double Rate), BatchNormRun>> runs)
    {
        Measured Accuracy((bool, double) key) => Measured.Of(runs, run => run[key].Accuracy[^1], "0.0 %");
        Measured Steps((bool, double) key) => Measured.Of(runs, run => StepsTo(run[key], lab), "0");
        Measured Drift((bool, double) key) => Measured.Of(runs, run => Units(run[key], p => Spread(p.Median) / p.Width.Average()), "0.00");
        Measured Widths((bool, double) key) => Measured.Of(runs, run => Units(run[key], p => Spread(p.Width) / p.Width.Average()), "0.00");
        var (plain, normalized) = (Best(false), Best(true));
        return new Finding(
            [
                Check.Above($"With BatchNorm (rate {normalized.Rate}) the accuracy at the end is higher than without (rate {plain.Rate})", Accuracy(normalized), Accuracy(plain)),
                new Check($"With BatchNorm {Goal:0 %} are reached sooner, with every seed", runs.All(run => StepsTo(run[normalized], lab) < StepsTo(run[plain], lab)), $"steps {Steps(normalized)} against {Steps(plain)} (∞: never)"),
                Check.Above("Without, the centre of a unit's inputs moves more", Drift(plain), Drift(normalized)),
                Check.Above("Without, the width of a unit's inputs changes more", Widths(plain), Widths(normalized)),
            ],
            [new ResultTable("Test accuracy, and inputs of the last hidden layer's units over training",
                ["network, learning rate", "accuracy", $"steps to {Goal:0 %} (∞: never)", "drift of the centre", "relative change of the width"],
                [.. Networks.Select(key => new ResultRow($"{Word(key)}, {key.Rate}", [Accuracy(key), Steps(key), Drift(key), Widths(key)]))])],
            Draw(lab, runs, [plain, normalized]));

        (bool Normalized, double Rate) Best(bool with) => Networks.Where(key => key.Normalized == with).MaxBy(key => Accuracy(key).Mean);
    }

    private static int StepsPerLook(Lab lab) => lab.Pick(100, 2);

    private static string Word((bool Normalized, double) network) => network.Normalized ? "with BatchNorm" : "without";

    private static double StepsTo(BatchNormRun run, Lab lab) => Array.FindIndex(run.Accuracy, a => a >= Goal) is >= 0 and var at ? at * StepsPerLook(lab) : double.PositiveInfinity;

    private static double Spread(double[] values) => new Measured(values).Deviation;

    /// <summary>A quantity of each unit's percentiles over the looks, averaged over the units.</summary>
    private static double Units(BatchNormRun run, Func<(double[] Median, double[] Width), double> quantity) => Enumerable.Range(0, Width)
        .Average(unit => quantity(([.. run.Percentiles.Select(p => p[1, unit])], [.. run.Percentiles.Select(p => p[2, unit] - p[0, unit])])));

    private static BatchNormRun Train(Lab lab, int seed, (bool Normalized, double Rate) settings)
    {
        manual_seed(seed);
        using var network = new Perceptron(new PerceptronShape(Depth, Width), () => nn.Sigmoid(), settings.Normalized ? () => stab.nn.BatchNorm1d(Width) : null,
            Nets.Init(w => stab.nn.init.normal_(w, 0, Deviation)));
        using var sgd = stab.optim.SGD(network.parameters(), settings.Rate, nonFinite: NonFinitePolicy.Propagate);
        using var random = new Generator((ulong)seed, CPU);
        var accuracy = new List<double> { network.Evaluate(lab.Test).Accuracy };
        var percentiles = new List<double[,]> { Percentiles(network, lab.Train) };
        foreach (int look in lab.Each(Looks))
        {
            foreach (int step in lab.Each(StepsPerLook(lab))) network.Step(sgd, lab.Train, Batch, random);
            accuracy.Add(network.Evaluate(lab.Test).Accuracy);
            percentiles.Add(Percentiles(network, lab.Train));
        }
        return new BatchNormRun([.. accuracy], [.. percentiles]);
    }

    private static double[,] Percentiles(Perceptron network, Mnist data)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var inputs = network.Trace(data.Batch(arange(Probe)).Images).PreActivations[^1];
        var percentiles = quantile(inputs, tensor(new[] { 0.15f, 0.5f, 0.85f }), dim: 0).to(ScalarType.Float64);
        return (double[,])percentiles.data<double>().ToNDArray();
    }

    private static Chart Draw(Lab lab, IReadOnlyList<IReadOnlyDictionary<(bool Normalized, double Rate), BatchNormRun>> runs, (bool Normalized, double Rate)[] shown)
    {
        double At(int look) => look * StepsPerLook(lab);
        var chart = new Chart();
        var accuracy = chart.AddPanel("Accuracy on the test images, each at its best rate", "step", "%");
        for (int i = 0; i < shown.Length; i++)
        {
            var key = shown[i];
            accuracy.Series($"{Word(key)}, rate {key.Rate}", [.. Enumerable.Range(0, Looks + 1).Select(look => (At(look), Measured.Of(runs, run => 100 * run[key].Accuracy[look])))], i, markers: false);
            var panel = chart.AddPanel($"Inputs of a unit, {Word(key)}: 15th, 50th, 85th percentile", "step", "input of the sigmoid");
            var unit = runs[0][key].Percentiles.Select((p, look) => (X: At(look), Low: p[0, ShownUnit], Middle: p[1, ShownUnit], High: p[2, ShownUnit])).ToArray();
            panel.Band(unit.Select(p => (p.X, p.Low, p.High)), i);
            panel.Line("", unit.Select(p => (p.X, p.Middle)), colour: i);
        }
        accuracy.LimitY(50, 100);
        accuracy.Legend(Alignment.LowerRight);
        return chart;
    }
}

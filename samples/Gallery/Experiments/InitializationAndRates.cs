using ScottPlot;
using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;

namespace Gallery.Experiments;

/// <summary>Test accuracy over initialization scale and over learning rate, with BatchNorm and without.</summary>
internal sealed class InitializationAndRates : Experiment<IReadOnlyDictionary<(bool Normalized, double Scale, double Rate), double>>
{
    private const int Depth = 5, Width = 100, Batch = 100;
    private const double UsualScale = 1, UsualRate = 0.1, Margin = 0.05;
    private static readonly double[] Scales = [0.1, 0.3, 1, 3, 10, 30], Rates = [0.003, 0.01, 0.03, 0.1, 0.3, 1, 3];
    private static readonly (double Scale, double Rate)[] Points =
        [.. Scales.Select(s => (s, UsualRate)), .. Rates.Where(r => r != UsualRate).Select(r => (UsualScale, r))];

    public override int Number => 7;

    public override string Name => "insensitive";

    public override string Title => "BatchNorm forgives the initialization and takes larger learning rates";

    public override string Claim =>
        "A normalized layer gives the same output whatever the scale of its weights, and larger weights get smaller gradients: networks with BatchNorm train over a wider range of initialization scales and at "
        + "learning rates at which those without break down.";

    public override string Source => "Ioffe & Szegedy 2015, Batch normalization, §3.3 and §4.2.1; Bjorck et al. 2018, Understanding batch normalization, §3";

    public override string SetUp(Lab lab) =>
        $"{Depth} hidden ReLU layers of {Width} units on MNIST ({lab.Train.Count} training images), SGD with batches of {Batch}, {Steps(lab)} steps; normal weights, He's σ times a scale, biases 0. Over the scale the learning "
        + $"rate is {UsualRate}, over the learning rate the scale is {UsualScale}. Works: within {100 * Margin:0} points of the accuracy that the same network reaches at its best on that axis.";

    protected override IReadOnlyDictionary<(bool Normalized, double Scale, double Rate), double> Measure(Lab lab, int seed)
    {
        var accuracy = new Dictionary<(bool, double, double), double>();
        foreach (bool normalized in lab.Each(new[] { false, true }))
            foreach (var (scale, rate) in lab.Each(Points)) accuracy[(normalized, scale, rate)] = Train(lab, seed, normalized, scale, rate);
        return accuracy;
    }

    protected override Finding Conclude(Lab lab, IReadOnlyList<IReadOnlyDictionary<(bool Normalized, double Scale, double Rate), double>> runs)
    {
        Measured Accuracy(bool normalized, double scale, double rate) => Measured.Of(runs, run => run[(normalized, scale, rate)], "0.0 %");
        Measured Range(bool normalized) => Measured.Of(runs, run => Working(Scales, scale => run[(normalized, scale, UsualRate)]).Length, "0.0");
        Measured Largest(bool normalized) => Measured.Of(runs, run => Working(Rates, rate => run[(normalized, UsualScale, rate)]).Max(), "0.00");
        Measured Worst(bool normalized) => Measured.Of(runs, run => Scales.Min(scale => run[(normalized, scale, UsualRate)]), "0.0 %");
        ResultTable Table(string title, string axis, double[] values, Func<bool, double, Measured> cell) => new(title, [axis, .. values.Select(v => $"{v}")],
            [new ResultRow("without", [.. values.Select(v => cell(false, v))]), new ResultRow("with BatchNorm", [.. values.Select(v => cell(true, v))])]);
        return new Finding(
            [
                Check.Above($"With BatchNorm more of the {Scales.Length} scales work", Range(true), Range(false)),
                Check.Above("With BatchNorm the accuracy at the worst scale is higher", Worst(true), Worst(false)),
                Check.Above("With BatchNorm the largest learning rate that works is larger", Largest(true), Largest(false)),
            ],
            [
                Table($"Accuracy by scale of the initial weights (1 is He's), learning rate {UsualRate}", "scale", Scales, (n, scale) => Accuracy(n, scale, UsualRate)),
                Table("Accuracy by learning rate, He initialization", "learning rate", Rates, (n, rate) => Accuracy(n, UsualScale, rate)),
            ],
            Draw(Accuracy));
    }

    private static int Steps(Lab lab) => lab.Pick(400, 10);

    /// <summary>The values at which accuracy is near the best of all of them.</summary>
    private static double[] Working(double[] values, Func<double, double> accuracy) => [.. values.Where(v => accuracy(v) >= values.Max(accuracy) - Margin)];

    private static double Train(Lab lab, int seed, bool normalized, double scale, double rate)
    {
        manual_seed(seed);
        using var network = new Perceptron(new PerceptronShape(Depth, Width), () => nn.ReLU(), normalized ? () => stab.nn.BatchNorm1d(Width) : null,
            Nets.Init(w => stab.nn.init.normal_(w, 0, scale * Math.Sqrt(2.0 / w.shape[1]))));
        // TorchSharp's own: it steps on with NaN, as the networks of the paper would.
        using var sgd = optim.SGD(network.parameters(), rate);
        using var random = new Generator((ulong)seed, CPU);
        foreach (int _ in lab.Each(Steps(lab)))
            if (!double.IsFinite(network.Step(sgd, lab.Train, Batch, random))) break;
        return network.Evaluate(lab.Test).Accuracy;
    }

    private static Chart Draw(Func<bool, double, double, Measured> accuracy)
    {
        var chart = new Chart();
        var scales = chart.AddPanel($"By scale of the initial weights (1 is He's), learning rate {UsualRate}", "scale", "accuracy on the test images", logX: true);
        var rates = chart.AddPanel("By learning rate, He initialization", "learning rate", "accuracy on the test images", logX: true);
        foreach (bool normalized in new[] { false, true })
        {
            string word = normalized ? "with BatchNorm" : "without";
            scales.Series(word, [.. Scales.Select(s => (s, accuracy(normalized, s, UsualRate)))], normalized ? 0 : 1);
            rates.Series(word, [.. Rates.Select(r => (r, accuracy(normalized, UsualScale, r)))], normalized ? 0 : 1);
        }
        foreach (var panel in new[] { scales, rates }) panel.LimitY(0, 1);
        rates.Legend(Alignment.LowerLeft);
        return chart;
    }
}

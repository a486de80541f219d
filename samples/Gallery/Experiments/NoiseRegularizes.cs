using ScottPlot;
using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;

namespace Gallery.Experiments;

/// <summary>Of one network, at each look: accuracy on the images it trains on, and on the test images.</summary>
internal sealed record NoiseRun(double[] Train, double[] Test)
{
    public double Gap => Train[^1] - Test[^1];
}

/// <summary>The noise of batch statistics as a regularizer, beside dropout.</summary>
internal sealed class NoiseRegularizes : Experiment<NoiseRun[]>
{
    private const int Depth = 3, Width = 300, Images = 1000, Batch = 20, Looks = 20;
    private const double Rate = 0.05, Dropped = 0.5;
    private static readonly (string Name, bool Norm, bool Dropout)[] Networks =
        [("neither", false, false), ("BatchNorm", true, false), ("dropout", false, true), ("both", true, true)];

    public override int Number => 9;

    public override string Name => "noise";

    public override string Title => "BatchNorm's noise regularizes, and makes dropout superfluous";

    public override string Claim =>
        "In training a sample is normalized together with whatever else is in its batch. This noise regularizes: the gap between training and test accuracy is smaller than without, as it is with dropout, and dropout on top "
        + "of it gives nothing more.";

    public override string Source =>
        "Ioffe & Szegedy 2015, Batch normalization, §3.4; Srivastava et al. 2014, Dropout; Luo et al. 2019, Towards understanding regularization in batch normalization";

    public override string SetUp(Lab lab) =>
        $"{Depth} hidden ReLU layers of {Width} units, He initialization, on the first {Images} training images of MNIST, few enough to be learned by heart; SGD {Rate} with batches of {Batch}, {Looks * StepsPerLook(lab)} steps. "
        + $"Dropout {Dropped} after each ReLU. Accuracy in eval mode on the same {Images} and on the {lab.Test.Count} test images; gap: their difference at the end.";

    protected override NoiseRun[] Measure(Lab lab, int seed) => [.. lab.Each(Networks).Select(network => Train(lab, seed, network.Norm, network.Dropout))];

    protected override Finding Conclude(Lab lab, IReadOnlyList<NoiseRun[]> runs)
    {
        Measured Gap(int network) => Measured.Of(runs, run => run[network].Gap, "0.0 %");
        Measured Accuracy(int network) => Measured.Of(runs, run => run[network].Test[^1], "0.0 %");
        Measured Learned(int network) => Measured.Of(runs, run => run[network].Train[^1], "0.0 %");
        var (neither, norm, dropout, both) = (0, 1, 2, 3);
        return new Finding(
            [
                Check.Above("The gap is smaller with BatchNorm than with neither", Gap(neither), Gap(norm)),
                Check.Above("The gap is smaller with dropout than with neither", Gap(neither), Gap(dropout)),
                new Check("Both are not better on the test images than BatchNorm alone", !Check.Above("", Accuracy(both), Accuracy(norm)).Holds, $"{Accuracy(both)} against {Accuracy(norm)}"),
            ],
            [new ResultTable("Accuracy at the end", ["network", "training images", "test images", "gap"],
                [.. Networks.Select((network, i) => new ResultRow(network.Name, [Learned(i), Accuracy(i), Gap(i)]))])],
            Draw(lab, runs));
    }

    private static int StepsPerLook(Lab lab) => lab.Pick(100, 2);

    private static NoiseRun Train(Lab lab, int seed, bool norm, bool dropout)
    {
        manual_seed(seed);
        using var network = new Perceptron(new PerceptronShape(Depth, Width), () => dropout ? nn.Sequential(nn.ReLU(), nn.Dropout(Dropped)) : nn.ReLU(),
            norm ? () => stab.nn.BatchNorm1d(Width) : null, Nets.Init(w => stab.nn.init.kaiming_normal_(w, nonlinearity: Nonlinearity.ReLU)));
        using var sgd = stab.optim.SGD(network.parameters(), Rate);
        using var random = new Generator((ulong)seed, CPU);
        using var known = Mnist.Train(lab.Data, CPU, Images);
        var (train, test) = (new List<double>(), new List<double>());
        foreach (int _ in lab.Each(Looks))
        {
            foreach (int step in lab.Each(StepsPerLook(lab))) network.Step(sgd, known, Batch, random);
            train.Add(network.Evaluate(known).Accuracy);
            test.Add(network.Evaluate(lab.Test).Accuracy);
        }
        return new NoiseRun([.. train], [.. test]);
    }

    private static Chart Draw(Lab lab, IReadOnlyList<NoiseRun[]> runs)
    {
        var chart = new Chart();
        var test = chart.AddPanel("Accuracy on the test images", "step", "%");
        var gap = chart.AddPanel("Gap between training and test accuracy", "step", "points");
        for (int i = 0; i < Networks.Length; i++)
        {
            int network = i;
            (double, Measured)[] Points(Func<NoiseRun, int, double> value) =>
                [.. Enumerable.Range(0, Looks).Select(look => ((look + 1.0) * StepsPerLook(lab), Measured.Of(runs, run => 100 * value(run[network], look))))];
            test.Series(Networks[i].Name, Points((run, look) => run.Test[look]), i, markers: false);
            gap.Series(Networks[i].Name, Points((run, look) => run.Train[look] - run.Test[look]), i, markers: false);
        }
        test.Legend(Alignment.LowerRight);
        gap.Legend(Alignment.LowerRight);
        return chart;
    }
}

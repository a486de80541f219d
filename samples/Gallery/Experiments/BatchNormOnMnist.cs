using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;

namespace Gallery.Experiments;

/// <summary>BatchNorm on MNIST, as in figure 1 of its paper.</summary>
internal sealed class BatchNormOnMnist : Experiment<bool>
{
    private const string Without = "without", With = "BatchNorm";
    private const int Depth = 3, Width = 100, Batch = 60, Probe = 500, Looks = 40, EarlyLooks = 20;
    private const double Deviation = 0.1;
    private static readonly string[] Names = [Without, With];

    public override int Number => 9;

    public override string Name => "batchnorm";

    public override string Title => "BatchNorm trains faster, to a higher accuracy, on steadier inputs";

    public override string Claim =>
        "With BatchNorm before each sigmoid the network gets to a high test accuracy sooner, and to a higher one in the end, and the distribution of what "
        + "goes into a sigmoid is much more stable over training.";

    public override IReadOnlyList<Paper> Sources => [Papers.Ioffe.At("§4.1 and figure 1")];

    public override double Cost => 19;

    protected override IReadOnlyList<Arm<bool>> Arms { get; } = [new(Without, false, 2, 0.5, 1, 4), new(With, true, 2, 0.5, 1, 4)];

    public override string SetUp(Lab lab) =>
        $"The paper's network: {Depth} hidden layers of {Width} sigmoid units, small normal weights (σ = {Deviation}), batches of {Batch}. "
        + $"{lab.Train.Count} training images of MNIST and {Looks * StepsPerLook(lab)} steps of SGD (the paper: "
        + $"60000 and 50000, its learning rate is not given). {Looks} looks: accuracy on the test images, and percentiles over {Probe} training images of "
        + "what goes into each unit of the last hidden layer, in training mode. "
        + $"Speed: mean accuracy of the first {EarlyLooks * StepsPerLook(lab)} steps, by which the rate is chosen too; for the accuracy at the end it is "
        + "chosen by that. Drift of a unit: the standard deviation of its median over training, in units of the mean distance of its 15th to its 85th "
        + "percentile; mean over the units.";

    protected override Trained Train(Lab lab, bool normalized, double rate, int seed)
    {
        using var network = new Perceptron(new PerceptronShape(Depth, Width), () => nn.Sigmoid(), normalized ? () => stab.nn.BatchNorm1d(Width) : null,
            Nets.Init(w => stab.nn.init.normal_(w, 0, Deviation)));
        using var sgd = stab.optim.SGD(network.parameters(), rate, nonFinite: NonFinitePolicy.Propagate);
        var plan = new Plan(lab.Train, Batch, Looks * StepsPerLook(lab), seed);
        var (test, validation) = (new List<double>(), new List<double>());
        var seen = new List<double[,]> { Percentiles(network, lab.Train) };
        double[] losses = network.Train(lab, sgd, plan, () =>
        {
            test.Add(network.Evaluate(lab.Test).Accuracy);
            validation.Add(network.Evaluate(lab.Validation).Accuracy);
            seen.Add(Percentiles(network, lab.Train));
        }, StepsPerLook(lab));
        return Trained.Of(validation.Take(EarlyLooks).Average(), Nets.Lost(losses, plan), ("accuracy", [.. test]), ("validation", [.. validation]),
            ("early", [test.Take(EarlyLooks).Average()]),
            ("drift", [Drift(seen, p => p.Middle)]), ("width drift", [Drift(seen, p => p.Width)]),
            ("low", [.. seen.Select(p => p[0, 0])]), ("middle", [.. seen.Select(p => p[1, 0])]), ("high", [.. seen.Select(p => p[2, 0])]));
    }

    protected override Finding Conclude(Lab lab, Runs runs)
    {
        Measured Early(string arm) => runs.Last(arm, "early", "0.0 %");
        var atEnd = runs.By(run => run.Last("validation"));
        Measured Accuracy(string arm) => atEnd.Last(arm, "accuracy", "0.0 %");
        Measured Drift(string arm) => runs.Last(arm, "drift", "0.00");
        Measured Widths(string arm) => runs.Last(arm, "width drift", "0.00");
        double At(int look) => look * StepsPerLook(lab);
        return new Finding(
            Check.Above("With BatchNorm the mean accuracy of the first 1,000 steps is higher than without, each at its best rate", Early(With), Early(Without)),
            [
                Check.Above("with BatchNorm the accuracy at the end is higher, each at its best rate for that", Accuracy(With), Accuracy(Without)),
                Check.Above("without, the centre of a unit's inputs moves more", Drift(Without), Drift(With)),
                Check.Above("without, the width of a unit's inputs changes more", Widths(Without), Widths(With)),
            ],
            [
                new ResultTable("Mean test accuracy of the first half; inputs of the last hidden layer's units over training",
                    ["network", "accuracy", "drift of the centre", "relative change of the width"],
                    [.. Names.Select(n => new ResultRow(runs.Label(n), [Early(n), Drift(n), Widths(n)]))]),
                new ResultTable("Test accuracy at the end, at the rate with the best validation accuracy there", ["network", "accuracy"],
                    [.. Names.Select(n => new ResultRow(atEnd.Label(n), [Accuracy(n)]))]),
            ],
            [
                Drawing.Curves(new Axes("Accuracy on the test images", "step", "%"), runs, Names, "accuracy", i => At(i + 1), percent: true),
                .. Names.Select((name, i) => Inputs(runs, name, i, At)),
                Drawing.Choices(runs, Names, "mean accuracy, validation"),
            ]);
    }

    private static int StepsPerLook(Lab lab) => lab.Pick(50, 1);

    /// <summary>How much a quantity of each unit moves over the looks, in units of its mean width; mean over the units.</summary>
    private static double Drift(List<double[,]> seen, Func<(double Middle, double Width), double> quantity) => Enumerable.Range(0, Width).Average(unit =>
    {
        var looks = seen.Select(p => (Middle: p[1, unit], Width: p[2, unit] - p[0, unit])).ToArray();
        return new Measured([.. looks.Select(quantity)]).Deviation / looks.Average(p => p.Width);
    });

    private static double[,] Percentiles(Perceptron network, Images data)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var inputs = network.Trace(data.Batch(arange(Probe)).Images).PreActivations[^1];
        var percentiles = quantile(inputs, tensor(new[] { 0.15f, 0.5f, 0.85f }), dim: 0).to(ScalarType.Float64);
        return (double[,])percentiles.data<double>().ToNDArray();
    }

    /// <summary>One unit of the first seed, as the paper draws it.</summary>
    private static Chart Inputs(Runs runs, string arm, int colour, Func<int, double> at)
    {
        var (chart, panel) = Drawing.New(new Axes($"Inputs of a unit, {arm}: 15th, 50th, 85th percentile", "step", "input of the sigmoid"));
        var run = runs.Trainings(arm, runs.Rate(arm))[0].Series;
        panel.Band(run["low"].Select((low, i) => (at(i), low, run["high"][i])), colour);
        panel.Line("", run["middle"].Select((middle, i) => (at(i), middle)), colour: colour);
        return chart;
    }
}

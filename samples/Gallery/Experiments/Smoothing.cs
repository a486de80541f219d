using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Gallery.Experiments;

/// <summary>Why BatchNorm helps: a smoother loss, not a steadier distribution.</summary>
internal sealed class Smoothing : Experiment<Func<Module<Tensor, Tensor>?>>
{
    private const string Without = "without", With = "BatchNorm", Noisy = "noisy BatchNorm";
    private const int Depth = 8, Width = 100, Batch = 128, StepsPerLook = 20, Early = 100;
    private const double Common = 0.1;
    private static readonly string[] Names = [Without, With, Noisy];
    /// <summary>From half a step to four, as in the paper.</summary>
    private static readonly double[] Distances = [.. new[] { 0.5, 1, 2, 3, 4 }.Select(factor => factor * Common)];

    public override int Number => 10;

    public override string Name => "smoothing";

    public override string Title => "BatchNorm helps by smoothing the loss, not by steadying distributions";

    public override string Claim =>
        "Along a training step the loss, and even more its gradient, vary less with BatchNorm: the landscape is smoother. "
        + "Noise after BatchNorm that makes distributions less steady than in the plain network hardly harms: it still trains better than the plain network.";

    public override IReadOnlyList<Paper> Sources => [Papers.Santurkar.At("figures 2 and 4 and appendix A")];

    public override double Cost => 23;

    protected override IReadOnlyList<Arm<Func<Module<Tensor, Tensor>?>>> Arms { get; } =
    [
        new(Without, () => null, Common, 0.01, 0.03, 0.3, 1, 3),
        new(With, () => stab.nn.BatchNorm1d(Width), Common, 0.01, 0.03, 0.3, 1, 3),
        new(Noisy, () => new NoisyBatchNorm(Width), Common, 0.01, 0.03, 0.3, 1, 3),
    ];

    public override string SetUp(Lab lab) =>
        $"{Depth} hidden ReLU layers of {Width} units on {lab.Train.Count} images of MNIST (the paper: VGG on CIFAR-10), He initialization, SGD, batches "
        + $"of {Batch}, "
        + $"{Looks(lab) * StepsPerLook} steps. At rate {Common}, the same for all, every {StepsPerLook} steps: loss and gradient of one batch at half a "
        + "step to four steps "
        + "along its gradient; medians over training. Unsteadiness: how much the mean of what goes into a ReLU of the last hidden layer, over a fixed "
        + "batch, moves between looks "
        + "(standard deviation over training, mean over units, relative to the deviation over the batch). "
        + $"Training: mean loss of the first {Early} steps, each network at the rate with the least loss on the validation images over those steps.";

    protected override Trained Train(Lab lab, Func<Module<Tensor, Tensor>?> norm, double rate, int seed)
    {
        using var network = new Perceptron(new PerceptronShape(Depth, Width), () => ReLU(), norm, Nets.Init(Nets.He));
        using var sgd = stab.optim.SGD(network.parameters(), rate, nonFinite: NonFinitePolicy.Propagate);
        using var random = new Generator((ulong)seed + 1000, CPU);
        var plan = new Plan(lab.Train, Batch, Looks(lab) * StepsPerLook, seed);
        var landscape = new Landscape(network);
        var (slopes, means, validation) = (new List<Slope>(), new List<double[]>(), new List<double>());
        double[] losses = network.Train(lab, sgd, plan, () =>
        {
            using var scope = NewDisposeScope();
            var (images, labels) = lab.Train.Draw(Batch, random);
            slopes.Add(landscape.Look(images, labels, Distances));
            means.Add(Means(network, lab.Train));
            if (validation.Count < Early / StepsPerLook) validation.Add(Nets.Capped(network.Evaluate(lab.Validation).Loss));
        }, StepsPerLook);
        double drift = means.Count == 0 ? double.NaN : Enumerable.Range(0, Width).Average(unit => new Measured([.. means.Select(m => m[unit])]).Deviation);
        // Looks that a lost run never came to count as guessing.
        double score = -validation.Concat(Enumerable.Repeat(Nets.Guessing, Early / StepsPerLook)).Take(Early / StepsPerLook).Average();
        return Trained.Of(score, Nets.Lost(losses, plan), ("loss", Nets.Chunks(losses, StepsPerLook)),
            ("drift", [drift]), ("early", [Nets.Early(losses, Math.Min(Early, plan.Steps))]),
            ("end", [losses.Length < plan.Steps ? Nets.Guessing : losses[^StepsPerLook..].Average()]),
            ("range", [.. slopes.Select(s => s.LossRange)]), ("change", [.. slopes.Select(s => s.GradientChange)]),
            ("beta", [.. slopes.Select(s => s.Smoothness)]));
    }

    protected override Finding Conclude(Lab lab, Runs runs)
    {
        Measured Typical(string arm, string series, string format = "0.000") => runs.At(arm, Common, run => Median(run.Series[series]), format);
        Measured AtRate(string arm, string series, string format) => runs.At(arm, Common, run => run.Last(series), format);
        return new Finding(
            Check.Above("Without BatchNorm the gradient changes more along the step", Typical(Without, "change"), Typical(With, "change")),
            [
                Check.Above("without, the loss varies more along the step", Typical(Without, "range"), Typical(With, "range")),
                Check.Above("without, the effective β is larger", Typical(Without, "beta", "0.0"), Typical(With, "beta", "0.0")),
                Check.Above("noisy BatchNorm has less steady inputs than the plain network", AtRate(Noisy, "drift", "0.00"), AtRate(Without, "drift", "0.00")),
                Check.Above($"even so the plain network's loss is higher in the first {Early} steps", runs.Last(Without, "early"), runs.Last(Noisy, "early")),
                Check.Above($"and at the end, at rate {Common}", AtRate(Without, "end", "0.0000"), AtRate(Noisy, "end", "0.0000")),
            ],
            [
                new ResultTable($"At rate {Common}: along the step (medians over training), training loss at the end, unsteadiness of the last hidden "
                    + "layer's inputs",
                    ["network", "range of the loss", "change of the gradient", "effective β", "loss at the end", "unsteadiness"],
                    [.. Names.Select(n => new ResultRow(n,
                        [Typical(n, "range"), Typical(n, "change"), Typical(n, "beta", "0.0"), AtRate(n, "end", "0.0000"), AtRate(n, "drift", "0.00")]))]),
                new ResultTable($"Mean loss of the first {Early} steps",
                    ["network", "loss"], [.. Names.Select(n => new ResultRow(runs.Label(n), [runs.Last(n, "early")]))]),
            ],
            [
                AtCommon(runs, "Change of the gradient along the step", "largest l2 distance", "change"),
                AtCommon(runs, "Range of the loss along the step", "largest minus smallest", "range"),
                AtCommon(runs, "Effective β along the step", "gradient change over distance", "beta"),
                Drawing.Curves(new Axes("Training loss at the best rate",
                    "step", "cross-entropy", LogY: true), runs, Names, "loss", i => (i + 1) * StepsPerLook),
                Drawing.Choices(runs, Names, "−loss, validation"),
            ]);
    }

    private static int Looks(Lab lab) => lab.Pick(20, 2);

    /// <summary>The median over training: the first steps of a network without norms would rule a mean.</summary>
    private static double Median(double[] values) => values.Length == 0 ? double.NaN : values.Order().ElementAt(values.Length / 2);

    private static Chart AtCommon(Runs runs, string title, string y, string series) =>
        Drawing.Curves(new Axes($"{title}, rate {Common}", "step", y, LogY: true), runs.Only(Common), Names, series, i => (i + 1) * StepsPerLook);

    /// <summary>The mean of what goes into each ReLU of the last hidden layer, over a fixed batch, in units of the layer's deviation.</summary>
    private static double[] Means(Perceptron network, Images data)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var inputs = network.Trace(data.Batch(arange(Batch)).Images).PreActivations[^1];
        var relative = inputs.mean([0]) / inputs.std(0).mean();
        return [.. relative.to(ScalarType.Float64).data<double>()];
    }
}

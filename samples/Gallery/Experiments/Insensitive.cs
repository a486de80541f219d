using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;

namespace Gallery.Experiments;

/// <summary>Test accuracy over initialization scale and over learning rate, with BatchNorm and without.</summary>
internal sealed class Insensitive : Experiment<(bool Normalized, double Scale)>
{
    private const int Depth = 5, Width = 100, Batch = 100;
    private const double Usual = 1, Margin = 0.05;
    private static readonly double[] Scales = [0.1, 0.3, Usual, 3, 10], Rates = [0.1, 0.01, 1, 10], Many = [0.1, 0.003, 0.01, 0.03, 0.3, 1, 3, 10];
    private static readonly bool[] Both = [false, true];

    public override int Number => 11;

    public override string Name => "insensitive";

    public override string Title => "BatchNorm forgives the initialization and takes larger learning rates";

    public override string Claim =>
        "A normalized layer gives the same output whatever the scale of its weights, and larger weights get smaller gradients: networks with BatchNorm "
        + "train over a wider range of "
        + "initialization scales and at learning rates at which those without break down.";

    public override IReadOnlyList<Paper> Sources => [Papers.Ioffe.At("§3.3 and §4.2.1"), Papers.Bjorck.At("§3")];

    public override double Cost => 14;

    protected override IReadOnlyList<Arm<(bool Normalized, double Scale)>> Arms { get; } =
        [.. from normalized in Both from scale in Scales select new Arm<(bool, double)>(Word(normalized, scale), (normalized, scale), scale == Usual ? Many
            : Rates)];

    public override string SetUp(Lab lab) =>
        $"{Depth} hidden ReLU layers of {Width} units on {lab.Train.Count} images of MNIST, SGD with batches of {Batch}, {Steps(lab)} steps; normal "
        + "weights, He's σ times a scale, biases 0. "
        + $"At every scale the best of {Rates.Length} learning rates (of {Many.Length} at He's own). A scale or a rate works if the accuracy on the test "
        + $"images is within {100 * Margin:0} points of that network's best.";

    protected override Trained Train(Lab lab, (bool Normalized, double Scale) setting, double rate, int seed)
    {
        using var network = new Perceptron(new PerceptronShape(Depth, Width), () => nn.ReLU(), setting.Normalized ? () => stab.nn.BatchNorm1d(Width) : null,
            Nets.Init(w => stab.nn.init.normal_(w, 0, setting.Scale * Math.Sqrt(2.0 / w.shape[1]))));
        using var sgd = stab.optim.SGD(network.parameters(), rate, nonFinite: NonFinitePolicy.Propagate);
        var plan = new Plan(lab.Train, Batch, Steps(lab), seed);
        double[] losses = network.Train(lab, sgd, plan);
        return Trained.Of(network.Evaluate(lab.Validation).Accuracy, Nets.Lost(losses, plan), ("accuracy", [network.Evaluate(lab.Test).Accuracy]));
    }

    protected override Finding Conclude(Lab lab, Runs runs)
    {
        double[] tried = [.. runs.Rates(Word(true, Usual))];
        Measured Accuracy(bool normalized, double scale) => runs.Last(Word(normalized, scale), "accuracy", "0.0 %");
        Measured AtRate(bool normalized, double rate) => runs.At(Word(normalized, Usual), rate, run => run.Last("accuracy"), "0.0 %");
        Measured Worst(bool normalized) => Pick(Scales.Select(s => Accuracy(normalized, s)), v => v.Min());
        Measured Largest(bool normalized) =>
            Pick(tried.Select(rate => AtRate(normalized, rate)), v => tried.Where((_, i) => v[i] >= v.Max() - Margin).Max(), "0.00");
        Measured Working(bool normalized) => Pick(Scales.Select(s => Accuracy(normalized, s)), v => v.Count(a => a >= v.Max() - Margin), "0.0");
        ResultTable Table(string title, string axis, double[] values, Func<bool, double, Measured> cell) => new(title, [axis, .. values.Select(v => $"{v}")],
            [.. Both.Select(n => new ResultRow(Word(n), [.. values.Select(v => cell(n, v))]))]);
        Chart Panel(string title, string axis, double[] values, Func<bool, double, Measured> cell) =>
            Drawing.Lines(new Axes(title, axis, "accuracy", LogX: true),
            [.. Both.Select(n => (Word(n), (IReadOnlyList<(double, Measured)>)[.. values.Order().Select(v => (v, cell(n, v)))]))]);
        return new Finding(
            Check.Above("With BatchNorm the accuracy at the worst scale is higher", Worst(true), Worst(false)),
            [
                Check.Above($"with BatchNorm more of the {Scales.Length} scales work", Working(true), Working(false)),
                Check.Above("with BatchNorm the largest learning rate that works is larger", Largest(true), Largest(false)),
            ],
            [
                Table("Accuracy by scale of the initial weights (1 is He's), each at its best rate", "scale", Scales, Accuracy),
                Table("Accuracy by learning rate, He initialization", "learning rate", [.. tried.Order()], AtRate),
            ],
            [
                Panel("Accuracy by scale of the weights, best rate", "scale of the initial weights (1 is He's)", Scales, Accuracy),
                Panel("Accuracy by learning rate, He initialization", "learning rate", tried, AtRate),
            ]);
    }

    private static int Steps(Lab lab) => lab.Pick(300, 5);

    private static string Word(bool normalized) => normalized ? "BatchNorm" : "without";

    private static string Word(bool normalized, double scale) => $"{Word(normalized)}, scale {scale}";

    /// <summary>Something of several numbers, seed by seed.</summary>
    private static Measured Pick(IEnumerable<Measured> numbers, Func<double[], double> what, string format = "0.0 %")
    {
        var all = numbers.ToArray();
        return new Measured([.. Enumerable.Range(0, all[0].Values.Count).Select(seed => what([.. all.Select(m => m.Values[seed])]))], format);
    }
}

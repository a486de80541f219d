namespace Gallery.Experiments;

/// <summary>BatchNorm in deep networks of saturating units: the first of its advantages.</summary>
internal sealed class DeepBatchNorm : Experiment<Deep>
{
    private const string Sigmoid = "sigmoid", Tanh = "tanh";
    private const int Deepest = 20, Batch = 64;
    private static readonly (string Activation, int Depth)[] Cases = [(Sigmoid, 5), (Sigmoid, 10), (Sigmoid, Deepest), (Tanh, Deepest)];

    public override int Number => 2;

    public override string Name => "deep-batchnorm";

    public override string Title => "BatchNorm makes deep sigmoid and tanh networks train";

    public override string Claim => "With BatchNorm before each sigmoid or tanh gradients vanish much less, and deep networks train that do not train without.";

    public override IReadOnlyList<Paper> Sources => [Papers.Ioffe.At("§3.2 and §4.2.2")];

    public override double Cost => 28;

    protected override IReadOnlyList<Arm<Deep>> Arms { get; } =
    [
        .. from one in Cases
           from norm in new[] { false, true }
           select new Arm<Deep>(Word(one.Activation, one.Depth, norm), new Deep(one.Depth, one.Activation, Nets.Xavier, norm), one.Activation == Sigmoid
               ? [1, 0.1, 10] : [0.1, 0.01, 0.03, 0.3]),
    ];

    public override string SetUp(Lab lab) =>
        $"5, 10 and {Deepest} hidden layers of 100 units on {lab.Train.Count} images of MNIST, Xavier initialization, biases 0, {Steps(lab)} steps of SGD "
        + $"with batches of {Batch}, with BatchNorm before each activation and "
        + "without. Accuracy on the test images; the gradient's factor a layer is that before training.";

    protected override Trained Train(Lab lab, Deep setting, double rate, int seed) => setting.Train(lab, new Plan(lab.Train, Batch, Steps(lab), seed), rate);

    protected override Finding Conclude(Lab lab, Runs runs)
    {
        Measured Accuracy(string activation, int depth, bool norm) => runs.Last(Word(activation, depth, norm), "accuracy", "0.0 %");
        Measured Factor(string activation, int depth, bool norm) => runs.Of(Word(activation, depth, norm), run => Deep.Factor(run.Series["gradients"]));
        Check Better(string activation, int depth) =>
            Check.Above($"{activation}, {depth} layers: BatchNorm learns better than without",
                Accuracy(activation, depth, true), Accuracy(activation, depth, false));
        string[] deepest = [.. from norm in new[] { false, true } select Word(Sigmoid, Deepest, norm)];
        return new Finding(Better(Sigmoid, Deepest),
            [
                Better(Sigmoid, 10), Better(Sigmoid, 5), Better(Tanh, Deepest),
                Check.Above($"sigmoid, {Deepest} layers: with BatchNorm the gradient shrinks less a layer",
                    Factor(Sigmoid, Deepest, true), Factor(Sigmoid, Deepest, false)),
            ],
            [new ResultTable("Accuracy on the test images; the gradient's factor a layer before training", ["network", "accuracy", "factor a layer"],
                [.. Arms.Select(arm => new ResultRow(runs.Label(arm.Name),
                    [runs.Last(arm.Name, "accuracy", "0.0 %"), runs.Of(arm.Name, run => Deep.Factor(run.Series["gradients"]))]))])],
            [
                Drawing.Bars(new Axes("Accuracy on the test images", "activation, layers", "accuracy"), [.. Cases.Select(c => $"{c.Activation}\n{c.Depth}")],
                    [.. from norm in new[] { false, true } select (norm ? "BatchNorm"
                        : "without", (IReadOnlyList<Measured>)[.. Cases.Select(c => Accuracy(c.Activation, c.Depth, norm))])]),
                Drawing.Curves(new Axes($"Training loss, sigmoid, {Deepest} layers",
                    "step", "cross-entropy"), runs, deepest, "loss", i => (i + 1) * Deep.Window(Steps(lab))),
                Drawing.Curves(new Axes($"Gradient by layer, sigmoid, {Deepest} layers",
                    "layer, first to last", "norm of the gradient", LogY: true), runs, deepest, "gradients", i => i + 1),
                Drawing.Choices(runs, [.. Arms.Where(a => a.Setting.Depth == Deepest).Select(a => a.Name)], "accuracy, validation"),
            ]);
    }

    private static string Word(string activation, int depth, bool norm) => $"{activation} {depth}, {(norm ? "BatchNorm" : "without")}";

    private static int Steps(Lab lab) => lab.Pick(400, 10);
}

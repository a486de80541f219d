namespace Gallery.Experiments;

/// <summary>Gradient by layer in deep networks, and what becomes of their training.</summary>
internal sealed class Vanishing : Experiment<Deep>
{
    private const string Sigmoid = "sigmoid", Tanh = "tanh", ReLU = "ReLU";
    private const int Depth = 20, Batch = 64;
    /// <summary>The largest derivative of the sigmoid, at 0.</summary>
    private const double Bound = 0.25, Margin = 0.1;

    public override int Number => 1;

    public override string Name => "vanishing";

    public override string Title => "Gradients vanish in deep sigmoid networks";

    public override string Claim =>
        "On its way back the gradient is multiplied by one derivative a layer. The sigmoid's is at most 1/4, so it shrinks about fourfold a layer, and "
        + "the first layers learn nothing; "
        + "less with tanh, hardly with ReLU and He initialization. So hidden layers should have ReLU.";

    public override IReadOnlyList<Paper> Sources => [Papers.Hochreiter, Papers.Bengio, Papers.Glorot.At("§3")];

    public override double Cost => 13;

    protected override IReadOnlyList<Arm<Deep>> Arms { get; } =
    [
        new(Sigmoid, new Deep(Depth, Sigmoid, Nets.Xavier), 1, 0.1, 10),
        new(Tanh, new Deep(Depth, Tanh, Nets.Xavier), 0.1, 0.03, 0.3),
        new(ReLU, new Deep(Depth, ReLU, Nets.He), 0.03, 0.01, 0.1),
    ];

    public override string SetUp(Lab lab) =>
        $"{Depth} hidden layers of 100 units on {lab.Train.Count} images of MNIST, {Steps(lab)} steps of SGD with batches of {Batch}; Xavier before "
        + "sigmoid and tanh, He before ReLU, biases 0. Before training: the norm of "
        + "the gradient with respect to what goes into each layer's activation. After it: accuracy on the test images.";

    protected override Trained Train(Lab lab, Deep setting, double rate, int seed) => setting.Train(lab, new Plan(lab.Train, Batch, Steps(lab), seed), rate);

    protected override Finding Conclude(Lab lab, Runs runs)
    {
        Measured Accuracy(string arm) => runs.Last(arm, "accuracy", "0.0 %");
        Measured Factor(string arm) => runs.Of(arm, run => Deep.Factor(run.Series["gradients"]));
        string[] arms = [Sigmoid, Tanh, ReLU];
        return new Finding(
            Check.Above($"{Depth} layers of ReLU learn better than {Depth} of sigmoid, each at its best rate", Accuracy(ReLU), Accuracy(Sigmoid)),
            [
                Check.Under("with sigmoid the gradient shrinks more than fourfold a layer", Factor(Sigmoid), Bound),
                Check.Above("with tanh it shrinks less", Factor(Tanh), Factor(Sigmoid)),
                Check.Near("with ReLU and He the factor a layer is 1 within a tenth", Factor(ReLU), 1, Margin),
                Check.Above("tanh learns better than sigmoid", Accuracy(Tanh), Accuracy(Sigmoid)),
            ],
            [new ResultTable("Gradient's factor a layer before training (geometric mean); accuracy after training", ["activation", "factor", "accuracy"],
                [.. arms.Select(a => new ResultRow(runs.Label(a), [Factor(a), Accuracy(a)]))])],
            [
                Drawing.Curves(new Axes("Gradient by layer before training",
                    "layer, first to last", "norm of the gradient", LogY: true), runs, arms, "gradients", i => i + 1),
                Drawing.Curves(new Axes("Training loss", "step", "cross-entropy"), runs, arms, "loss", i => (i + 1) * Deep.Window(Steps(lab))),
                Drawing.Choices(runs, arms, "accuracy, validation"),
            ]);
    }

    private static int Steps(Lab lab) => lab.Pick(400, 10);
}

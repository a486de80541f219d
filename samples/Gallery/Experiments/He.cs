namespace Gallery.Experiments;

/// <summary>He against Xavier initialization in very deep plain ReLU networks.</summary>
internal sealed class He : Experiment<Deep>
{
    private const int Shallow = 20, Deepest = 50, Width = 100, Batch = 64;
    private const double Momentum = 0.9, Stalled = 0.05;
    private static readonly int[] Depths = [Shallow, Deepest];
    private static readonly string[] Inits = ["He", "Xavier"];

    public override int Number => 7;

    public override string Name => "he";

    public override string Title => "He initialization trains very deep ReLU networks where Xavier stalls";

    public override string Claim =>
        "A ReLU halves the variance, which He's variance 2/n makes up for and Xavier's 1/n does not. In networks of moderate depth both converge and He "
        + "starts to learn earlier; in very deep ones He converges and Xavier stalls.";

    public override IReadOnlyList<Paper> Sources => [Papers.He.At("§2.2 and figures 2 and 3")];

    public override double Cost => 49;

    protected override IReadOnlyList<Arm<Deep>> Arms { get; } =
    [
        .. from depth in Depths
           from init in Inits
           select new Arm<Deep>(Word(depth, init), new Deep(depth, "ReLU", init == "He" ? Nets.He : Nets.Xavier, Width: Width), 0.003, 0.001, 0.01, 0.03),
    ];

    public override string SetUp(Lab lab) =>
        $"Plain ReLU perceptrons with {Shallow} and {Deepest} hidden layers of {Width} units on {lab.Train.Count} images of MNIST; the paper has 22 and "
        + $"30 layers, mostly convolutions, on ImageNet. SGD with momentum {Momentum}, batches of {Batch}, "
        + $"{Steps(lab)} steps, biases 0 at the start. Loss at the end: mean of the last {Deep.Window(Steps(lab))} steps, at most that of guessing, ln "
        + $"10. Stalled: within {Stalled} of ln 10.";

    protected override Trained Train(Lab lab, Deep setting, double rate, int seed) =>
        setting.Train(lab, new Plan(lab.Train, Batch, Steps(lab), seed), rate, Momentum);

    protected override Finding Conclude(Lab lab, Runs runs)
    {
        Measured End(int depth, string init) => runs.Last(Word(depth, init), "end");
        Measured All(int depth, string init) => runs.Last(Word(depth, init), "early");
        string[] Of(int depth) => [.. Inits.Select(init => Word(depth, init))];
        Axes Loss(int depth) => new($"Training loss, {depth} layers", "step", "cross-entropy");
        double Step(int i) => (i + 1) * Deep.Window(Steps(lab));
        return new Finding(
            Check.Above($"{Deepest} layers: Xavier ends at a higher training loss than He", End(Deepest, "Xavier"), End(Deepest, "He")),
            [
                Check.Near($"{Deepest} layers: Xavier stalls at ln 10", End(Deepest, "Xavier"), Nets.Guessing, Stalled),
                Check.Under($"{Deepest} layers: He converges to below half of ln 10", End(Deepest, "He"), Nets.Guessing / 2),
                Check.Under($"{Shallow} layers: Xavier converges too", End(Shallow, "Xavier"), Nets.Guessing / 2),
                Check.Above($"{Shallow} layers: Xavier learns later than He (mean loss of all steps)", All(Shallow, "Xavier"), All(Shallow, "He")),
            ],
            [new ResultTable("Training loss at the end and mean of all steps; accuracy on the test images; what goes into the last ReLU over what goes "
                + "into the first", ["network", "loss at the end", "mean loss", "accuracy", "last over first"],
                [.. Arms.Select(a => new ResultRow(runs.Label(a.Name),
                    [runs.Last(a.Name, "end"), runs.Last(a.Name, "early"), runs.Last(a.Name, "accuracy", "0.0 %"),
                    runs.Of(a.Name, run => run.Series["inputs"][^1] / run.Series["inputs"][0], "0.0e+0")]))])],
            [
                Drawing.Curves(Loss(Deepest), runs, Of(Deepest), "loss", Step),
                Drawing.Curves(Loss(Shallow), runs, Of(Shallow), "loss", Step),
                Drawing.Curves(new Axes("Inputs of the ReLUs before training",
                    "layer, first to last", "standard deviation", LogY: true), runs, Of(Deepest), "inputs", i => i + 1),
                Drawing.Choices(runs, [.. Arms.Select(a => a.Name)], "accuracy, validation"),
            ]);
    }

    private static string Word(int depth, string init) => $"{depth} layers, {init}";

    private static int Steps(Lab lab) => lab.Pick(700, 10);
}

namespace Gallery.Experiments;

/// <summary>Both initializations with both activations.</summary>
internal sealed class XavierOrHe : Experiment<Deep>
{
    private const string Tanh = "tanh", ReLU = "ReLU", Xavier = "Xavier", He = "He";
    private const int Depth = 20, Batch = 64;
    private static readonly string[] Activations = [Tanh, ReLU], Inits = [Xavier, He];

    public override int Number => 6;

    public override string Name => "xavier-or-he";

    public override string Title => "Xavier suits tanh, He suits ReLU";

    public override string Claim => "S-shaped activations learn better from Xavier's initialization, ReLU from He's, whose variance is twice as large.";

    public override IReadOnlyList<Paper> Sources => [Papers.Glorot.At("§4.2"), Papers.He.At("§2.2")];

    public override double Cost => 15;

    protected override IReadOnlyList<Arm<Deep>> Arms { get; } =
    [
        .. from activation in Activations
           from init in Inits
           select new Arm<Deep>(Word(activation, init), new Deep(Depth, activation, init == He ? Nets.He : Nets.Xavier), 0.03, 0.01, 0.1, 0.3),
    ];

    public override string SetUp(Lab lab) =>
        $"{Depth} hidden layers of 100 units on {lab.Train.Count} images of MNIST, normal weights by Xavier (2/(n_in + n_out)) or He (2/n_in), biases 0, "
        + $"{Steps(lab)} steps of SGD with batches of {Batch}. Compared: the mean "
        + "training loss of all steps, so how fast it falls (a step counts at most what guessing costs). The main check adds up what each activation "
        + "gains from its own initialization.";

    protected override Trained Train(Lab lab, Deep setting, double rate, int seed) => setting.Train(lab, new Plan(lab.Train, Batch, Steps(lab), seed), rate);

    protected override Finding Conclude(Lab lab, Runs runs)
    {
        Measured Loss(string activation, string init) => runs.Last(Word(activation, init), "early");
        var gain = Loss(Tanh, He).Minus(Loss(Tanh, Xavier)).Plus(Loss(ReLU, Xavier).Minus(Loss(ReLU, He)));
        string[] arms = [.. Arms.Select(a => a.Name)];
        return new Finding(
            Check.Beyond("Each activation with its own initialization learns faster than with the other's, both together", gain, 0),
            [
                Check.Above("tanh: He's loss is higher than Xavier's", Loss(Tanh, He), Loss(Tanh, Xavier)),
                Check.Above("ReLU: Xavier's loss is higher than He's", Loss(ReLU, Xavier), Loss(ReLU, He)),
            ],
            [new ResultTable("Training loss, mean of all steps; accuracy on the test images; gradient's factor a layer before training",
                ["network", "loss", "accuracy", "factor"],
                [.. arms.Select(a => new ResultRow(runs.Label(a),
                    [runs.Last(a, "early"), runs.Last(a, "accuracy", "0.0 %"), runs.Of(a, run => Deep.Factor(run.Series["gradients"]))]))])],
            [
                Drawing.Curves(new Axes($"Training loss, {Depth} layers", "step", "cross-entropy"), runs, arms, "loss", i => (i + 1) * Deep.Window(Steps(lab))),
                Drawing.Curves(new Axes("Inputs of the activations before training",
                    "layer, first to last", "standard deviation", LogY: true), runs, arms, "inputs", i => i + 1),
                Drawing.Choices(runs, arms, "accuracy, validation"),
            ]);
    }

    private static string Word(string activation, string init) => $"{activation}, {init}";

    private static int Steps(Lab lab) => lab.Pick(400, 10);
}

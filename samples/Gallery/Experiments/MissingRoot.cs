using TorchStab;
using static TorchSharp.torch;

namespace Gallery.Experiments;

/// <summary>σ = 2/(n_in + n_out), as notes and blogs print it, against σ = √(2/(n_in + n_out)), as the paper has it.</summary>
internal sealed class MissingRoot : Experiment<Deep>
{
    private const string WithRoot = "σ = √(2/(n+n))", WithoutRoot = "σ = 2/(n+n)", Saved = "σ = 2/(n+n), BatchNorm";
    private const int Depth = 20, Batch = 64;
    private const double Chance = 0.1, Margin = 0.03;
    private static readonly string[] Names = [WithRoot, WithoutRoot, Saved];

    public override int Number => 8;

    public override string Name => "missing-root";

    public override string Title => "Without the root in Xavier's formula a deep network does not train";

    public override string Claim =>
        "Xavier's normal distribution has variance 2/(n_in + n_out), so σ is its square root. Texts that print σ = 2/(n_in + n_out) lose the root: with "
        + "100 units σ is 0.01 instead of 0.1, each layer passes on a tenth of the signal, and 20 layers learn "
        + "nothing.";

    public override IReadOnlyList<Paper> Sources => [Papers.Glorot.At("§4.2.1, equation 16 (uniform; the normal distribution with that variance has the "
        + "root)")];

    public override double Cost => 14;

    protected override IReadOnlyList<Arm<Deep>> Arms { get; } =
    [
        new(WithRoot, new Deep(Depth, "tanh", Nets.Xavier), 0.03, 0.01, 0.1),
        new(WithoutRoot, new Deep(Depth, "tanh", Rootless), 0.1, 0.01, 1, 10),
        new(Saved, new Deep(Depth, "tanh", Rootless, Norm: true), 0.1, 0.01, 1),
    ];

    public override string SetUp(Lab lab) =>
        $"{Depth} hidden tanh layers of 100 units on {lab.Train.Count} images of MNIST, biases 0, {Steps(lab)} steps of SGD with batches of {Batch}: "
        + "weights by the formula with the root, without it, and without it but with BatchNorm. "
        + $"Accuracy on the test images; guessing: {Chance:0 %}, counted as such within {100 * Margin:0} points.";

    protected override Trained Train(Lab lab, Deep setting, double rate, int seed) => setting.Train(lab, new Plan(lab.Train, Batch, Steps(lab), seed), rate);

    protected override Finding Conclude(Lab lab, Runs runs)
    {
        Measured Accuracy(string arm) => runs.Last(arm, "accuracy", "0.0 %");
        Measured Kept(string arm) => runs.Of(arm, run => run.Series["inputs"][^1] / run.Series["inputs"][0], "0.0e+0");
        return new Finding(
            Check.Above("With the root the network learns better than without, each at its best rate", Accuracy(WithRoot), Accuracy(WithoutRoot)),
            [
                Check.Near("without the root it does no better than guessing", Accuracy(WithoutRoot), Chance, Margin),
                Check.Above("BatchNorm makes up for the missing root: better than without both", Accuracy(Saved), Accuracy(WithoutRoot)),
            ],
            [new ResultTable("Accuracy on the test images; what goes into the last tanh over what goes into the first, before training",
                ["weights", "accuracy", "last over first"],
                [.. Names.Select(n => new ResultRow(runs.Label(n), [Accuracy(n), Kept(n)]))])],
            [
                Drawing.Curves(new Axes("Inputs of the tanh before training",
                    "layer, first to last", "standard deviation", LogY: true), runs, Names, "inputs", i => i + 1),
                Drawing.Curves(new Axes("Training loss", "step", "cross-entropy"), runs, Names, "loss", i => (i + 1) * Deep.Window(Steps(lab))),
                Drawing.Choices(runs, Names, "accuracy, validation"),
            ]);
    }

    private static Tensor Rootless(Tensor weight) => stab.nn.init.normal_(weight, 0, 2.0 / (weight.shape[0] + weight.shape[1]));

    private static int Steps(Lab lab) => lab.Pick(400, 10);
}

using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Gallery.Experiments;

/// <summary>The noise of batch statistics as a regularizer, apart from everything else that BatchNorm does.</summary>
internal sealed class NoiseRegularizes : Experiment<Func<Module<Tensor, Tensor>?>>
{
    private const string None = "no norm", Still = "no noise (all images)", Some = "parts of 100", More = "parts of 20";
    private const int Depth = 3, Width = 100, Images = 1000;
    private static readonly string[] Names = [None, Still, Some, More];

    public override int Number => 14;

    public override string Name => "noise";

    public override string Title => "The noise of BatchNorm's statistics regularizes";

    public override string Claim =>
        "In training a sample is normalized together with whatever else is in its batch. This noise regularizes, as dropout does: the network does better "
        + "on images it has not seen.";

    public override IReadOnlyList<Paper> Sources => [Papers.Ioffe.At("§3.4"), Papers.Luo, Papers.Hoffer.At("§4")];

    public override double Cost => 42;

    protected override IReadOnlyList<Arm<Func<Module<Tensor, Tensor>?>>> Arms { get; } =
    [
        new(None, () => null, 0.1, 0.03, 0.3),
        new(Still, () => stab.nn.BatchNorm1d(Width), Rates),
        new(Some, () => new GhostBatchNorm(Width, 100), Rates),
        new(More, () => new GhostBatchNorm(Width, 20), Rates),
    ];

    private static double[] Rates => [0.1, 0.3, 1];

    public override string SetUp(Lab lab) =>
        $"{Depth} hidden ReLU layers of {Width} units, He initialization, on {Images} images of MNIST, few enough to be learned by heart; {Steps(lab)} "
        + "steps of SGD, each on all of them, so that nothing else is noisy. "
        + "BatchNorm's statistics over all images have no noise; over parts of 100 and of 20 (drawn anew in each step) more and more. Loss on the test "
        + "images, in eval mode, at the end; the rate is chosen by that on the validation images.";

    protected override Trained Train(Lab lab, Func<Module<Tensor, Tensor>?> norm, double rate, int seed)
    {
        using var network = new Perceptron(new PerceptronShape(Depth, Width), () => ReLU(), norm, Nets.Init(Nets.He));
        using var sgd = stab.optim.SGD(network.parameters(), rate, nonFinite: NonFinitePolicy.Propagate);
        // Other images for every seed: what is learned by heart should not be the same five times.
        var own = lab.Train with { From = seed * Images % (lab.Train.Count - Images), Count = Images };
        var plan = new Plan(own, Images, Steps(lab), seed);
        var test = new List<double>();
        double[] losses = network.Train(lab, sgd, plan, () => test.Add(Nets.Capped(network.Evaluate(lab.Test).Loss)), Math.Max(1, plan.Steps / 10));
        return Trained.Of(-Nets.Capped(network.Evaluate(lab.Validation).Loss), Nets.Lost(losses, plan), ("test", [.. test]),
            ("accuracy", [network.Evaluate(lab.Test).Accuracy]), ("loss", Nets.Chunks(losses, Deep.Window(plan.Steps))));
    }

    protected override Finding Conclude(Lab lab, Runs runs)
    {
        Measured Loss(string arm) => runs.Last(arm, "test");
        return new Finding(
            Check.Above("BatchNorm without noise has a higher test loss than with statistics of parts of 20", Loss(Still), Loss(More)),
            [
                Check.Above("the same with parts of 100", Loss(Still), Loss(Some)),
                Check.Above("no norm has a higher test loss than BatchNorm without noise: not all of the gain is noise", Loss(None), Loss(Still)),
            ],
            [new ResultTable("On the test images, at the end",
                ["statistics over", "loss", "accuracy"],
                    [.. Names.Select(n => new ResultRow(runs.Label(n), [Loss(n), runs.Last(n, "accuracy", "0.0 %")]))])],
            [
                Drawing.Curves(new Axes("Loss on the test images", "step", "cross-entropy"), runs, Names, "test", i => (i + 1) * Math.Max(1, Steps(lab) / 10)),
                Drawing.Curves(new Axes("Loss on the training images",
                    "step", "cross-entropy", LogY: true), runs, Names, "loss", i => (i + 1) * Deep.Window(Steps(lab))),
                Drawing.Choices(runs, Names, "−loss, validation"),
            ]);
    }

    private static int Steps(Lab lab) => lab.Pick(250, 5);
}

using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;

namespace Gallery.Experiments;

/// <summary>Dropout on top of BatchNorm.</summary>
internal sealed class DropoutToo : Experiment<(bool Norm, double Dropped)>
{
    private const int Depth = 3, Width = 200, Images = 1000, Batch = 50;
    private static readonly double[] Shares = [0, 0.2, 0.5], Rates = [0.1, 0.03, 0.3];
    private static readonly bool[] Both = [true, false];

    public override int Number => 15;

    public override string Name => "dropout";

    public override string Title => "Dropout is worth having together with BatchNorm";

    public override string Claim =>
        "BatchNorm's noise regularizes, but notes recommend dropout beside it; the paper found that dropout could be left out, and later work that the "
        + "two disagree. Tried: does dropout on top of BatchNorm lower the loss on images that the network has not seen?";

    public override IReadOnlyList<Paper> Sources => [Papers.Ioffe.At("§4.2.1"), Papers.Srivastava, Papers.Li];

    public override double Cost => 26;

    protected override IReadOnlyList<Arm<(bool Norm, double Dropped)>> Arms { get; } =
        [.. from norm in Both from share in Shares select new Arm<(bool, double)>(Word(norm, share), (norm, share), Rates)];

    public override string SetUp(Lab lab) =>
        $"{Depth} hidden ReLU layers of {Width} units, He initialization, on {Images} images of MNIST, few enough to be learned by heart; {Steps(lab)} "
        + $"steps of SGD with batches of {Batch}, dropout of 0, 0.2 and 0.5 after each ReLU. "
        + "Loss and accuracy on the test images, in eval mode, at the end; the rate is chosen by the loss on the validation images.";

    protected override Trained Train(Lab lab, (bool Norm, double Dropped) setting, double rate, int seed)
    {
        using var network = new Perceptron(new PerceptronShape(Depth, Width), () =>
            setting.Dropped > 0 ? nn.Sequential(nn.ReLU(), nn.Dropout(setting.Dropped)) : nn.ReLU(),
            setting.Norm ? () => stab.nn.BatchNorm1d(Width) : null, Nets.Init(Nets.He));
        using var sgd = stab.optim.SGD(network.parameters(), rate, nonFinite: NonFinitePolicy.Propagate);
        // Other images for every seed: what is learned by heart should not be the same five times.
        var own = lab.Train with { From = seed * Images % (lab.Train.Count - Images), Count = Images };
        var plan = new Plan(own, Batch, Steps(lab), seed);
        var test = new List<double>();
        double[] losses = network.Train(lab, sgd, plan, () => test.Add(Nets.Capped(network.Evaluate(lab.Test).Loss)), Math.Max(1, plan.Steps / 10));
        return Trained.Of(-Nets.Capped(network.Evaluate(lab.Validation).Loss), Nets.Lost(losses, plan), ("test", [.. test]),
            ("accuracy", [network.Evaluate(lab.Test).Accuracy]));
    }

    protected override Finding Conclude(Lab lab, Runs runs)
    {
        Measured Loss(bool norm, double dropped) => runs.Last(Word(norm, dropped), "test");
        Measured Accuracy(bool norm, double dropped) => runs.Last(Word(norm, dropped), "accuracy", "0.0 %");
        // How much to drop is chosen as learning rates are.
        double share = Shares[1..].MaxBy(s => runs.Of(Word(true, s), run => run.Score).Mean);
        string[] normed = [.. Shares.Select(s => Word(true, s))];
        return new Finding(
            Check.Above("BatchNorm alone has a higher test loss than BatchNorm with dropout, of the share that does best on the validation images "
                + $"({share})", Loss(true, 0), Loss(true, share)),
            [
                Check.Above("BatchNorm with that dropout is right more often than alone", Accuracy(true, share), Accuracy(true, 0)),
                Check.Above("that dropout alone has a higher test loss than together with BatchNorm", Loss(false, share), Loss(true, share)),
            ],
            [new ResultTable("On the test images, at the end", ["network", "loss", "accuracy"],
                [.. Arms.Select(a => new ResultRow(runs.Label(a.Name),
                    [Loss(a.Setting.Norm, a.Setting.Dropped), Accuracy(a.Setting.Norm, a.Setting.Dropped)]))])],
            [
                Drawing.Bars(new Axes("Loss on the test images", "share dropped", "cross-entropy"), [.. Shares.Select(s => $"{s}")],
                    [.. Both.Select(norm => (norm ? "BatchNorm" : "no norm", (IReadOnlyList<Measured>)[.. Shares.Select(s => Loss(norm, s))]))]),
                Drawing.Curves(new Axes("Loss on the test images, with BatchNorm",
                    "step", "cross-entropy"), runs, normed, "test", i => (i + 1) * Math.Max(1, Steps(lab) / 10)),
                Drawing.Choices(runs, [.. Arms.Select(a => a.Name)], "−loss, validation"),
            ]);
    }

    private static string Word(bool norm, double dropped) => $"{(norm ? "BatchNorm" : "no norm")}, dropout {dropped}";

    private static int Steps(Lab lab) => lab.Pick(800, 10);
}

using System.Diagnostics;
using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using Sequential = TorchSharp.Modules.Sequential;

namespace Gallery.Experiments;

/// <summary>What BatchNorm costs at inference, and that folding removes it.</summary>
internal sealed class Folding : Experiment<(string Network, int Batch)>
{
    private const string Convolutions = "convolutions", Perceptrons = "perceptron", Norm = "BatchNorm", Folded = "folded", Without = "without";
    private const int TrainingBatch = 64, Width = 256;
    private const double LearningRate = 0.1, Margin = 0.02, Rounding = 1e-5;
    private static readonly string[] Variants = [Norm, Folded, Without];
    private static readonly (string Network, int Batch)[] Cases = [(Convolutions, 1), (Convolutions, 64), (Perceptrons, 1), (Perceptrons, 64)];

    public override int Number => 17;

    public override string Name => "folding";

    public override string Title => "BatchNorm costs time at inference, and folding takes it away";

    public override string Claim =>
        "At inference BatchNorm is a fixed linear map. It costs time as a layer of its own; folded into the layer before it the network computes the same "
        + "and is as fast as one without.";

    public override IReadOnlyList<Paper> Sources => [Papers.Ioffe.At("§3.1 (a linear transform at inference)"), Papers.Jacob.At("§3.2 (folding)")];

    public override double Cost => 12;

    public override bool Alone => true;

    protected override IReadOnlyList<Arm<(string Network, int Batch)>> Arms { get; } = [.. Cases.Select(c => new Arm<(string, int)>(Word(c), c, LearningRate))];

    public override string SetUp(Lab lab) =>
        $"Four 3×3 convolutions of 16 to 32 channels, and a perceptron with 4 hidden layers of {Width}, each with BatchNorm and ReLU, trained for "
        + $"{Steps(lab)} steps on MNIST and folded by stab.nn.utils.fuse_norms; and the same networks "
        + $"without BatchNorm. {Rounds(lab)} rounds, in each of which the three take turns; a seed's ratio is the median over its rounds, and nothing "
        + $"else of this program runs meanwhile. As fast: within {Margin:0 %}. The same: no output moves by more than {Rounding} of the largest.";

    protected override Trained Train(Lab lab, (string Network, int Batch) setting, double rate, int seed)
    {
        using var with = Learn(lab, seed, setting.Network, rate);
        using var folded = New(setting.Network, norms: true);
        folded.load_state_dict(with.state_dict());
        folded.eval();
        stab.nn.utils.fuse_norms(folded, lab.Test.Batch(arange(2)).Images);
        using var without = New(setting.Network, norms: false);
        without.eval();
        using var noGrad = no_grad();
        var images = lab.Test.Batch(arange(64)).Images;
        var (before, after) = (with.call(images), folded.call(images));
        double moved = ((before - after).abs().max() / before.abs().max()).item<float>();
        double[][] times = Time(lab, [with, folded, without], images.narrow(0, 0, setting.Batch));
        double Ratio(int variant) => Median(times[variant].Zip(times[2], (a, b) => a / b));
        return Trained.Of(0, null, ("moved", [moved]), (Norm, [Ratio(0)]), (Folded, [Ratio(1)]), ("µs " + Norm, [Median(times[0])]),
            ("µs " + Folded, [Median(times[1])]), ("µs " + Without, [Median(times[2])]),
            ("accuracy before", [with.Evaluate(lab.Test).Accuracy]), ("accuracy after", [folded.Evaluate(lab.Test).Accuracy]));
    }

    protected override Finding Conclude(Lab lab, Runs runs)
    {
        Measured Ratio(string network, int batch, string variant) => runs.Last(Word((network, batch)), variant);
        Measured One(string network, int batch) => Ratio(network, batch, Norm).Map(_ => 1);
        Check Costs(string network, int batch) => Check.Times($"{network}, batch {batch}: as a layer BatchNorm takes longer than none",
            Ratio(network, batch, Norm), One(network, batch));
        Check Free(string network, int batch) => Check.SameRatio($"{network}, batch {batch}: folded is as fast as without",
            Ratio(network, batch, Folded), One(network, batch), Margin);
        double moved = Cases.Max(c => runs.Last(Word(c), "moved").Values.Max());
        return new Finding(
            Costs(Convolutions, 64),
            [
                .. Cases.Where(c => c != (Convolutions, 64)).Select(c => Costs(c.Network, c.Batch)), .. Cases.Select(c => Free(c.Network, c.Batch)),
                Check.Fact("folding changes no output beyond rounding", moved <= Rounding, $"at most {moved:0.0e+0} of the largest output"),
            ],
            [
                new ResultTable("Time as a multiple of that without BatchNorm",
                    ["network, batch", Norm, Folded],
                        [.. Cases.Select(c => new ResultRow(Word(c), [Ratio(c.Network, c.Batch, Norm), Ratio(c.Network, c.Batch, Folded)]))]),
                new ResultTable("Microseconds a sample", ["network, batch", .. Variants],
                    [.. Cases.Select(c => new ResultRow(Word(c), [.. Variants.Select(v => runs.Last(Word(c), "µs " + v, "0.0"))]))]),
                new ResultTable("Accuracy on the test images", ["network, batch", Norm, Folded],
                    [.. Cases.Select(c => new ResultRow(Word(c),
                        [runs.Last(Word(c), "accuracy before", "0.00 %"), runs.Last(Word(c), "accuracy after", "0.00 %")]))]),
            ],
            [Drawing.Bars(new Axes("Time, as a multiple of that without BatchNorm", "network (convolutions, perceptron), batch", "ratio"),
                [.. Cases.Select(c => $"{c.Network[..4]}.\n{c.Batch}")],
                [.. new[] { Norm, Folded }.Select(v => (v, (IReadOnlyList<Measured>)[.. Cases.Select(c => Ratio(c.Network, c.Batch, v))]))])],
            "Times are this machine's; a machine that does other work meanwhile widens the intervals.");
    }

    private static string Word((string Network, int Batch) of) => $"{of.Network}, {of.Batch}";

    private static int Steps(Lab lab) => lab.Pick(100, 5);

    private static int Rounds(Lab lab) => lab.Pick(200, 10);

    private static Sequential Learn(Lab lab, int seed, string name, double rate)
    {
        var network = New(name, norms: true);
        using var sgd = stab.optim.SGD(network.parameters(), rate);
        network.Train(lab, sgd, new Plan(lab.Train, TrainingBatch, Steps(lab), seed));
        network.eval();
        return network;
    }

    private static Sequential New(string name, bool norms)
    {
        var layers = new List<Module<Tensor, Tensor>>();
        if (name == Convolutions)
        {
            layers.Add(Unflatten(1, [1, 28, 28]));
            foreach (var (from, to, stride) in new[] { (1, 16, 1), (16, 16, 2), (16, 32, 2), (32, 32, 1) })
                layers.AddRange([Conv2d(from, to, 3, stride, padding: 1), .. norms ? [stab.nn.BatchNorm2d(to)]
                    : Array.Empty<Module<Tensor, Tensor>>(), ReLU()]);
            layers.AddRange([Flatten(), Linear(32 * 7 * 7, Mnist.Classes)]);
            return Sequential(layers);
        }
        for (int i = 0; i < 4; i++)
            layers.AddRange([Linear(i == 0 ? Mnist.Pixels : Width, Width), .. norms ? [stab.nn.BatchNorm1d(Width)]
                : Array.Empty<Module<Tensor, Tensor>>(), ReLU()]);
        return Sequential([.. layers, Linear(Width, Mnist.Classes)]);
    }

    /// <summary>Microseconds a sample of each network in each round.</summary>
    private static double[][] Time(Lab lab, Sequential[] networks, Tensor images)
    {
        var rounds = networks.Select(_ => new double[Rounds(lab)]).ToArray();
        foreach (int round in lab.Each(Rounds(lab)))
            // Each goes first in turn, so that none always finds the caches as another left them.
            foreach (int i in Enumerable.Range(round, networks.Length).Select(i => i % networks.Length)) rounds[i][round] = Once(networks[i], images);
        return rounds;
    }

    private static double Once(Sequential network, Tensor images)
    {
        const int times = 5;
        using var scope = NewDisposeScope();
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < times; i++) network.call(images);
        return Stopwatch.GetElapsedTime(start).TotalMicroseconds / (times * images.shape[0]);
    }

    private static double Median(IEnumerable<double> values) => values.Order().ToArray() is var ordered ? ordered[ordered.Length / 2] : 0;
}

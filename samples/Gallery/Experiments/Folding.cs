using System.Diagnostics;
using ScottPlot;
using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using Sequential = TorchSharp.Modules.Sequential;

namespace Gallery.Experiments;

/// <summary>Of one network: microseconds a sample with BatchNorm, folded and without, and how far folding moved outputs and accuracy.</summary>
internal sealed record FoldingRun(double[] Times, double Moved, double AccuracyBefore, double AccuracyAfter);

/// <summary>What BatchNorm costs at inference, and that folding removes it.</summary>
internal sealed class Folding : Experiment<IReadOnlyDictionary<(string Network, int Batch), FoldingRun>>
{
    private const int TrainingBatch = 64, Width = 256;
    private const double LearningRate = 0.1, Unnoticed = 1.05, Rounding = 1e-5;
    private static readonly string[] Variants = ["BatchNorm", "folded", "without"];
    private static readonly string[] Networks = ["convolutions", "perceptron"];
    private static readonly int[] Batches = [1, 64];

    public override int Number => 11;

    public override string Name => "folding";

    public override string Title => "BatchNorm costs time at inference, and folding takes it away";

    public override string Claim =>
        "At inference BatchNorm is a fixed linear map. It costs time as a layer of its own; folded into the layer before it the network computes the same and is as fast as one without.";

    public override string Source =>
        "Ioffe & Szegedy 2015, Batch normalization, §3.1 (a linear transform at inference); Jacob et al. 2018, Quantization and training of neural networks for efficient integer-arithmetic-only inference, §3.2 (folding)";

    public override string SetUp(Lab lab) =>
        $"Four 3×3 convolutions of 16 to 32 channels, and a perceptron with 4 hidden layers of {Width}, each with BatchNorm and ReLU, trained for {Steps(lab)} steps on MNIST and folded by stab.nn.utils.fuse_norms; and the same networks "
        + $"without BatchNorm. {Rounds(lab)} rounds take turns; the time is the median round's. Folded counts as fast as without within {Unnoticed - 1:0 %}, and as the same if no output moves by more than {Rounding} of the largest.";

    protected override IReadOnlyDictionary<(string Network, int Batch), FoldingRun> Measure(Lab lab, int seed)
    {
        var runs = new Dictionary<(string, int), FoldingRun>();
        foreach (string name in lab.Each(Networks))
        {
            using var scope = NewDisposeScope();
            using var with = Train(lab, seed, name);
            using var folded = New(name, norms: true);
            folded.load_state_dict(with.state_dict());
            folded.eval();
            stab.nn.utils.fuse_norms(folded, lab.Test.Batch(arange(2)).Images);
            using var without = New(name, norms: false);
            without.eval();
            using var noGrad = no_grad();
            var images = lab.Test.Batch(arange(Batches[^1])).Images;
            var (before, after) = (with.call(images), folded.call(images));
            double moved = ((before - after).abs().max() / before.abs().max()).item<float>();
            foreach (int batch in lab.Each(Batches))
                runs[(name, batch)] = new FoldingRun(Time(lab, [with, folded, without], images.narrow(0, 0, batch)), moved, with.Evaluate(lab.Test).Accuracy, folded.Evaluate(lab.Test).Accuracy);
        }
        return runs;
    }

    protected override Finding Conclude(Lab lab, IReadOnlyList<IReadOnlyDictionary<(string Network, int Batch), FoldingRun>> runs)
    {
        (string Network, int Batch)[] cases = [.. from network in Networks from batch in Batches select (network, batch)];
        Measured Ratio((string, int) key, int variant) => Measured.Of(runs, run => run[key].Times[variant] / run[key].Times[^1], "0.00");
        string All(int variant) => string.Join(", ", cases.Select(key => $"{key.Network} {key.Batch}: {Ratio(key, variant)}"));
        double moved = runs.Max(run => run.Values.Max(r => r.Moved));
        return new Finding(
            [
                new Check("As a layer BatchNorm costs time, in every case and with every seed", cases.All(key => Ratio(key, 0).Least > 1), $"times that of the network without, {All(0)}"),
                new Check("Folded it is as fast as without, in every case", cases.All(key => Ratio(key, 1).Mean <= Unnoticed), $"times that of the network without, {All(1)}"),
                new Check("Folding changes no output beyond rounding", moved <= Rounding, $"at most {moved:0.0e+0} of the largest output"),
            ],
            [
                new ResultTable("Microseconds a sample", ["network, batch", .. Variants], [.. cases.Select(key =>
                    new ResultRow($"{key.Network}, {key.Batch}", [.. Variants.Select((_, i) => Measured.Of(runs, run => run[key].Times[i], "0.0"))]))]),
                new ResultTable("Accuracy on the test images", ["network", Variants[0], Variants[1]], [.. Networks.Select(network =>
                    new ResultRow(network, [Measured.Of(runs, run => run[(network, 1)].AccuracyBefore, "0.00 %"), Measured.Of(runs, run => run[(network, 1)].AccuracyAfter, "0.00 %")]))]),
            ],
            Draw(runs, cases), "Times are this machine's; a machine that does other work meanwhile spoils them.");
    }

    private static int Steps(Lab lab) => lab.Pick(200, 10);

    private static int Rounds(Lab lab) => lab.Pick(300, 20);

    private static Sequential Train(Lab lab, int seed, string name)
    {
        manual_seed(seed);
        var network = New(name, norms: true);
        using var sgd = stab.optim.SGD(network.parameters(), LearningRate);
        using var random = new Generator((ulong)seed, CPU);
        foreach (int _ in lab.Each(Steps(lab))) network.Step(sgd, lab.Train, TrainingBatch, random);
        network.eval();
        return network;
    }

    private static Sequential New(string name, bool norms)
    {
        var layers = new List<Module<Tensor, Tensor>>();
        if (name == Networks[0])
        {
            layers.Add(Unflatten(1, [1, 28, 28]));
            foreach (var (from, to, stride) in new[] { (1, 16, 1), (16, 16, 2), (16, 32, 2), (32, 32, 1) })
                layers.AddRange([Conv2d(from, to, 3, stride, padding: 1), .. norms ? [stab.nn.BatchNorm2d(to)] : Array.Empty<Module<Tensor, Tensor>>(), ReLU()]);
            layers.AddRange([Flatten(), Linear(32 * 7 * 7, Mnist.Classes)]);
            return Sequential(layers);
        }
        for (int i = 0; i < 4; i++)
            layers.AddRange([Linear(i == 0 ? Mnist.Pixels : Width, Width), .. norms ? [stab.nn.BatchNorm1d(Width)] : Array.Empty<Module<Tensor, Tensor>>(), ReLU()]);
        return Sequential([.. layers, Linear(Width, Mnist.Classes)]);
    }

    private static double[] Time(Lab lab, Sequential[] networks, Tensor images)
    {
        var rounds = networks.Select(_ => new List<double>()).ToArray();
        foreach (int round in lab.Each(Rounds(lab)))
            // Each goes first in turn, so that none always finds the caches as another left them.
            foreach (int i in Enumerable.Range(round, networks.Length).Select(i => i % networks.Length)) rounds[i].Add(Once(networks[i], images));
        return [.. rounds.Select(times => times.Order().ElementAt(times.Count / 2))];
    }

    private static double Once(Sequential network, Tensor images)
    {
        const int times = 5;
        using var scope = NewDisposeScope();
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < times; i++) network.call(images);
        return Stopwatch.GetElapsedTime(start).TotalMicroseconds / (times * images.shape[0]);
    }

    private static Chart Draw(IReadOnlyList<IReadOnlyDictionary<(string Network, int Batch), FoldingRun>> runs, (string Network, int Batch)[] cases)
    {
        var chart = new Chart();
        foreach (int batch in Batches)
        {
            var panel = chart.AddPanel($"Time of a sample, batch {batch}", "network", "µs");
            panel.Categories(Networks);
            for (int i = 0; i < Variants.Length; i++)
            {
                int variant = i;
                var times = cases.Where(key => key.Batch == batch).Select(key => Measured.Of(runs, run => run[key].Times[variant]));
                panel.Bars(Variants[i], [.. times.Select(m => (m.Mean, m.Deviation))], i, Variants.Length);
            }
            panel.Legend(Alignment.UpperRight);
        }
        return chart;
    }
}

using ScottPlot;
using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;

namespace Gallery.Experiments;

/// <summary>Of one network: test accuracy at each look.</summary>
internal sealed record RecurrentRun(double[] Accuracy);

/// <summary>BatchNorm and LayerNorm inside a recurrence.</summary>
internal sealed class RecurrentNorms : Experiment<IReadOnlyDictionary<(string Norm, int Batch), RecurrentRun>>
{
    private const string None = "none", Shared = "BatchNorm, one for all rows", Each = "BatchNorm, one a row", Layer = "LayerNorm";
    private const int Width = 100, Large = 50, Small = 4, Looks = 10;
    private const double Rate = 0.05, FirstWeight = 0.1;
    private static readonly string[] Norms = [None, Shared, Each, Layer];
    private static readonly (string Norm, int Batch)[] Networks = [.. from batch in new[] { Large, Small } from norm in Norms select (norm, batch)];

    public override int Number => 10;

    public override string Name => "recurrent-norms";

    public override string Title => "In a recurrent network LayerNorm does what BatchNorm cannot";

    public override string Claim =>
        "The statistics of a recurrence differ from step to step, so BatchNorm with one set of them for all steps works badly; it needs one a step, and a batch. LayerNorm needs neither: it trains faster than no norm, and at small "
        + "batches than BatchNorm of either kind.";

    public override string Source => "Ba, Kiros & Hinton 2016, Layer normalization, §3.1 and §6; Cooijmans et al. 2017, Recurrent batch normalization, §3 (statistics a time step, initial weight 0.1)";

    public override string SetUp(Lab lab) =>
        $"A tanh recurrence of {Width} units reads MNIST's images row by row, {RowReader.Rows} steps: h ← tanh(norm(W x + U h)); orthogonal U; BatchNorm's weights start at {FirstWeight} as Cooijmans et al. found to be needed, "
        + $"LayerNorm's at 1. SGD {Rate}, momentum 0.9, global clipping to 1, {Looks * StepsPerLook(lab)} steps with batches of {Large} and of {Small} (the paper: LSTMs and GRUs on texts).";

    protected override IReadOnlyDictionary<(string Norm, int Batch), RecurrentRun> Measure(Lab lab, int seed) =>
        lab.Each(Networks).Select(network => (network, Run: Train(lab, seed, network))).ToDictionary(pair => pair.network, pair => pair.Run);

    protected override Finding Conclude(Lab lab, IReadOnlyList<IReadOnlyDictionary<(string Norm, int Batch), RecurrentRun>> runs)
    {
        Measured Accuracy(string norm, int batch) => Measured.Of(runs, run => run[(norm, batch)].Accuracy[^1], "0.0 %");
        Measured Mean(string norm, int batch) => Measured.Of(runs, run => run[(norm, batch)].Accuracy.Average(), "0.0 %");
        return new Finding(
            [
                Check.Above($"Batches of {Large}: BatchNorm with statistics a row ends better than with one set for all", Accuracy(Each, Large), Accuracy(Shared, Large)),
                Check.Above($"Batches of {Large}: LayerNorm learns faster than no norm (mean accuracy over training)", Mean(Layer, Large), Mean(None, Large)),
                Check.Above($"Batches of {Small}: LayerNorm ends better than BatchNorm a row", Accuracy(Layer, Small), Accuracy(Each, Small)),
                Check.Above($"Batches of {Small}: LayerNorm ends better than BatchNorm for all rows", Accuracy(Layer, Small), Accuracy(Shared, Small)),
            ],
            [new ResultTable("Accuracy on the test images: at the end, and its mean over training",
                ["norm", $"end, batch {Large}", $"mean, batch {Large}", $"end, batch {Small}", $"mean, batch {Small}"],
                [.. Norms.Select(n => new ResultRow(n, [Accuracy(n, Large), Mean(n, Large), Accuracy(n, Small), Mean(n, Small)]))])],
            Draw(lab, runs));
    }

    private static int StepsPerLook(Lab lab) => lab.Pick(60, 1);

    private static Func<nn.Module<Tensor, Tensor>>? Maker(string norm) => norm switch
    {
        None => null,
        Layer => () => stab.nn.LayerNorm(Width),
        _ => Narrow,
    };

    private static TorchStab.Modules.BatchNorm1d Narrow()
    {
        var norm = stab.nn.BatchNorm1d(Width);
        stab.nn.init.constant_(norm.weight, FirstWeight);
        return norm;
    }

    private static RecurrentRun Train(Lab lab, int seed, (string Norm, int Batch) settings)
    {
        manual_seed(seed);
        using var network = new RowReader(Width, Maker(settings.Norm), settings.Norm == Each);
        using var sgd = stab.optim.SGD(network.parameters(), Rate, momentum: 0.9, global_clipnorm: 1);
        using var random = new Generator((ulong)seed, CPU);
        var accuracy = new List<double>();
        foreach (int _ in lab.Each(Looks))
        {
            foreach (int step in lab.Each(StepsPerLook(lab))) network.Step(sgd, lab.Train, settings.Batch, random);
            accuracy.Add(network.Evaluate(lab.Test).Accuracy);
        }
        return new RecurrentRun([.. accuracy]);
    }

    private static Chart Draw(Lab lab, IReadOnlyList<IReadOnlyDictionary<(string Norm, int Batch), RecurrentRun>> runs)
    {
        var chart = new Chart();
        foreach (int batch in new[] { Large, Small })
        {
            var panel = chart.AddPanel($"Accuracy on the test images, batches of {batch}", "step", "%");
            for (int i = 0; i < Norms.Length; i++)
            {
                var key = (Norms[i], batch);
                panel.Series(Norms[i], [.. Enumerable.Range(0, Looks).Select(look => ((look + 1.0) * StepsPerLook(lab), Measured.Of(runs, run => 100 * run[key].Accuracy[look])))], i, markers: false);
            }
            panel.LimitY(0, 100);
            if (batch == Small) panel.Legend(Alignment.UpperLeft); // below, there is room
        }
        return chart;
    }
}

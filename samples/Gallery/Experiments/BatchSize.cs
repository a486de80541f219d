using ScottPlot;
using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;

namespace Gallery.Experiments;

/// <summary>Norms over the batch and over the sample, at small batches.</summary>
internal sealed class BatchSize : Experiment<IReadOnlyDictionary<(string Norm, int Batch), double>>
{
    private const string BatchNorm = "BatchNorm", Renorm = "BatchRenorm", LayerNorm = "LayerNorm", GroupNorm = "GroupNorm";
    private const int Depth = 2, Width = 1000, Groups = 20, Small = 2, Paper = 4, Large = 128, Warmup = 50;
    private const double RateAtLarge = 0.1, Close = 0.02;
    private static readonly string[] Norms = [BatchNorm, Renorm, LayerNorm, GroupNorm];
    private static readonly int[] Batches = [1, Small, Paper, 8, Large];

    public override int Number => 8;

    public override string Name => "batch-size";

    public override string Title => "BatchNorm needs a batch; LayerNorm and GroupNorm do not";

    public override string Claim =>
        "BatchNorm's statistics get noisy as the batch gets small, and at one sample there are none. LayerNorm and GroupNorm, which look at each sample alone, hardly notice; BatchRenorm is in between. At batch 128 all are alike.";

    public override string Source =>
        "Ba, Kiros & Hinton 2016, Layer normalization, §6.6 and figure 6; Wu & He 2018, Group normalization, figure 1; Ioffe 2017, Batch renormalization, §4.2";

    public override string SetUp(Lab lab) =>
        $"Ba et al.'s network, 784-{Width}-{Width}-10 with ReLU, on MNIST ({lab.Train.Count} training images); GroupNorm with {Groups} groups, BatchRenorm with r up to 3 and d up to 5, starting as BatchNorm. SGD with learning rate "
        + $"{RateAtLarge} at batch {Large}, by the square root of the batch below; {Steps(lab, Small)} steps up to batch 8, {Steps(lab, Large)} at {Large}. BatchNorm and BatchRenorm refuse a batch of one. Accuracy on the test images, in eval mode.";

    protected override IReadOnlyDictionary<(string Norm, int Batch), double> Measure(Lab lab, int seed)
    {
        var accuracy = new Dictionary<(string, int), double>();
        foreach (int batch in lab.Each(Batches))
            foreach (string norm in lab.Each(Norms.Where(n => Takes(n, batch)).ToArray())) accuracy[(norm, batch)] = Train(lab, seed, norm, batch);
        return accuracy;
    }

    protected override Finding Conclude(Lab lab, IReadOnlyList<IReadOnlyDictionary<(string Norm, int Batch), double>> runs)
    {
        Measured? Accuracy(string norm, int batch) => Takes(norm, batch) ? Measured.Of(runs, run => run[(norm, batch)], "0.0 %") : null;
        Measured Gap(string norm, int batch) => Measured.Of(runs, run => run[(norm, batch)] - run[(BatchNorm, batch)], "0.0 %");
        var largeGaps = Norms.Select(norm => Gap(norm, Large)).ToArray();
        return new Finding(
            [
                Check.Above($"At batch {Paper} LayerNorm is better than BatchNorm", Accuracy(LayerNorm, Paper)!, Accuracy(BatchNorm, Paper)!),
                Check.Above($"LayerNorm's lead over BatchNorm grows from batch {Large} to {Small}", Gap(LayerNorm, Small), Gap(LayerNorm, Large)),
                Check.Above($"GroupNorm's lead over BatchNorm grows from batch {Large} to {Small}", Gap(GroupNorm, Small), Gap(GroupNorm, Large)),
                Check.Above($"At batch {Small} BatchRenorm is better than BatchNorm", Accuracy(Renorm, Small)!, Accuracy(BatchNorm, Small)!),
                new Check($"At batch {Large} all are within {100 * Close:0} points of BatchNorm", largeGaps.All(g => Math.Abs(g.Mean) < Close), $"from {largeGaps.MinBy(g => g.Mean)} to {largeGaps.MaxBy(g => g.Mean)}"),
            ],
            [new ResultTable("Accuracy by batch", ["norm", .. Batches.Select(b => $"{b}")], [.. Norms.Select(norm => new ResultRow(norm, [.. Batches.Select(b => Accuracy(norm, b))]))])],
            Draw(Accuracy));
    }

    private static int Steps(Lab lab, int batch) => batch == Large ? lab.Pick(120, 2) : lab.Pick(300, 5);

    private static bool Takes(string norm, int batch) => batch > 1 || norm is LayerNorm or GroupNorm;

    private static nn.Module<Tensor, Tensor> Make(string norm)
    {
        if (norm == LayerNorm) return stab.nn.LayerNorm(Width);
        if (norm == GroupNorm) return stab.nn.GroupNorm(Groups, Width);
        if (norm == BatchNorm) return stab.nn.BatchNorm1d(Width);
        var renorm = stab.nn.BatchRenorm1d(Width);
        renorm.Schedule = step => step < Warmup ? (1, 0) : (3, 5);
        return renorm;
    }

    private static double Train(Lab lab, int seed, string norm, int batch)
    {
        manual_seed(seed);
        using var network = new Perceptron(new PerceptronShape(Depth, Width), () => nn.ReLU(), () => Make(norm),
            Nets.Init(w => stab.nn.init.kaiming_normal_(w, nonlinearity: Nonlinearity.ReLU)));
        using var sgd = stab.optim.SGD(network.parameters(), RateAtLarge * Math.Sqrt((double)batch / Large));
        using var random = new Generator((ulong)seed, CPU);
        foreach (int _ in lab.Each(Steps(lab, batch))) network.Step(sgd, lab.Train, batch, random);
        return network.Evaluate(lab.Test).Accuracy;
    }

    private static Chart Draw(Func<string, int, Measured?> accuracy)
    {
        var chart = new Chart();
        var panel = chart.AddPanel("Accuracy by size of the batch", "images of a batch", "accuracy on the test images", logX: true);
        for (int i = 0; i < Norms.Length; i++)
            panel.Series(Norms[i], [.. Batches.Where(b => Takes(Norms[i], b)).Select(b => ((double)b, accuracy(Norms[i], b)!))], i, dashed: i % 2 == 1);
        panel.Legend(Alignment.LowerRight);
        return chart;
    }
}

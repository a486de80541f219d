using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;

namespace Gallery.Experiments;

/// <summary>Norms over the batch and over the sample, at small batches.</summary>
internal sealed class BatchSize : Experiment<(string Norm, int Batch)>
{
    private const string BatchNorm = "BatchNorm", Renorm = "BatchRenorm", LayerNorm = "LayerNorm", GroupNorm = "GroupNorm";
    private const int Depth = 2, Width = 256, Groups = 16, Smallest = 2, Small = 4, Large = 128;
    private const double Margin = 0.03;
    private static readonly string[] Norms = [BatchNorm, Renorm, LayerNorm, GroupNorm];
    private static readonly int[] Batches = [Smallest, Small, 16, Large];

    public override int Number => 12;

    public override string Name => "batch-size";

    public override string Title => "BatchNorm needs a batch; LayerNorm and GroupNorm do not";

    public override string Claim =>
        "BatchNorm's statistics get noisy as the batch gets small. LayerNorm and GroupNorm, which look at each sample alone, hardly notice; BatchRenorm "
        + "is in between. At batch 128 all are alike.";

    public override IReadOnlyList<Paper> Sources => [Papers.Ba.At("§6.6 and figure 6"), Papers.Wu.At("figure 1"), Papers.Renorm.At("§4.2")];

    public override double Cost => 55;

    protected override IReadOnlyList<Arm<(string Norm, int Batch)>> Arms { get; } =
        [.. from batch in Batches from norm in Norms select new Arm<(string, int)>(Word(norm, batch), (norm, batch), Rates(batch))];

    public override string SetUp(Lab lab) =>
        $"A network 784-{Width}-{Width}-10 with ReLU and He initialization (Ba et al.: 784-1000-1000-10) on MNIST; GroupNorm with {Groups} groups, "
        + "BatchRenorm with r up to 3 and d up to 5 after a fifth of the steps as BatchNorm. "
        + $"Every training sees {Seen(lab)} images of {lab.Train.Count}, whatever its batch; SGD, the best of three or four rates for each norm and "
        + $"batch. Accuracy on the test images. Alike at {Large}: within {100 * Margin:0} points.";

    protected override Trained Train(Lab lab, (string Norm, int Batch) setting, double rate, int seed)
    {
        var plan = new Plan(lab.Train, setting.Batch, Seen(lab) / setting.Batch, seed);
        using var network = new Perceptron(new PerceptronShape(Depth, Width), () => nn.ReLU(), () => Make(setting.Norm, plan.Steps), Nets.Init(Nets.He));
        using var sgd = stab.optim.SGD(network.parameters(), rate, nonFinite: NonFinitePolicy.Propagate);
        double[] losses = network.Train(lab, sgd, plan);
        return Trained.Of(network.Evaluate(lab.Validation).Accuracy, Nets.Lost(losses, plan), ("accuracy", [network.Evaluate(lab.Test).Accuracy]));
    }

    protected override Finding Conclude(Lab lab, Runs runs)
    {
        Measured Accuracy(string norm, int batch) => runs.Last(Word(norm, batch), "accuracy", "0.0 %");
        Check Better(string norm, string other, int batch) => Check.Above($"batch {batch}: {norm} is better than {other}",
            Accuracy(norm, batch), Accuracy(other, batch));
        Check Alike(string norm) => Check.Same($"batch {Large}: {norm} is like BatchNorm", Accuracy(norm, Large), Accuracy(BatchNorm, Large), Margin);
        return new Finding(
            Check.Above($"Batch {Smallest}: LayerNorm is better than BatchNorm, each at its best rate",
                Accuracy(LayerNorm, Smallest), Accuracy(BatchNorm, Smallest)),
            [
                Better(LayerNorm, BatchNorm, Small), Better(GroupNorm, BatchNorm, Smallest), Better(GroupNorm, BatchNorm, Small),
                    Better(Renorm, BatchNorm, Smallest),
                Better(LayerNorm, Renorm, Smallest), Alike(LayerNorm), Alike(GroupNorm), Alike(Renorm),
            ],
            [new ResultTable("Accuracy by batch, each at its best rate",
                ["norm", .. Batches.Select(b => $"{b}")],
                    [.. Norms.Select(norm => new ResultRow(norm, [.. Batches.Select(b => Accuracy(norm, b))]))])],
            [
                Drawing.Lines(new Axes("Accuracy by size of the batch, equal images", "images of a batch", "accuracy", LogX: true),
                    [.. Norms.Select(norm => (norm, (IReadOnlyList<(double, Measured)>)[.. Batches.Select(b => ((double)b, Accuracy(norm, b)))]))]),
                Drawing.Choices(runs, [.. Norms.Select(norm => Word(norm, Smallest))], "accuracy, validation"),
            ]);
    }

    private static int Seen(Lab lab) => lab.Pick(6144, 256);

    private static double[] Rates(int batch) => batch switch
    {
        Smallest => [0.01, 0.003, 0.03],
        Small => [0.02, 0.006, 0.06, 0.2],
        Large => [0.3, 0.1, 1, 3],
        _ => [0.05, 0.015, 0.15, 0.5],
    };

    private static string Word(string norm, int batch) => $"{norm}, batch {batch}";

    private static nn.Module<Tensor, Tensor> Make(string norm, int steps)
    {
        if (norm == LayerNorm) return stab.nn.LayerNorm(Width);
        if (norm == GroupNorm) return stab.nn.GroupNorm(Groups, Width);
        if (norm == BatchNorm) return stab.nn.BatchNorm1d(Width);
        var renorm = stab.nn.BatchRenorm1d(Width);
        renorm.Schedule = step => step < steps / 5 ? (1, 0) : (3, 5);
        return renorm;
    }
}

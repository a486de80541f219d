using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;

namespace Gallery.Experiments;

/// <summary>Training with one image a step.</summary>
internal sealed class BatchOfOne : Experiment<(string Norm, int Batch)>
{
    private const string None = "no norm", BatchNorm = "BatchNorm", LayerNorm = "LayerNorm", GroupNorm = "GroupNorm";
    private const int Depth = 2, Width = 256, Groups = 16, Large = 128;
    private const double Margin = 0.03;
    private static readonly (string Norm, int Batch)[] Cases = [(LayerNorm, 1), (GroupNorm, 1), (None, 1), (LayerNorm, Large), (GroupNorm, Large),
        (None, Large), (BatchNorm, Large)];

    public override int Number => 13;

    public override string Name => "batch-of-one";

    public override string Title => "LayerNorm trains with batches of one, where BatchNorm has no variance";

    public override string Claim =>
        "In a batch of one the variance over the batch is 0, and BatchNorm cannot train. LayerNorm takes its statistics over the features of one sample "
        + "and trains as well as with large batches.";

    public override IReadOnlyList<Paper> Sources => [Papers.Ba.At("§3 and §6.6"), Papers.Wu.At("§3")];

    public override double Cost => 20;

    protected override IReadOnlyList<Arm<(string Norm, int Batch)>> Arms { get; } =
        [.. Cases.Select(c => new Arm<(string, int)>(Word(c.Norm, c.Batch), c, c.Batch == 1 ? [0.005, 0.0015, 0.015, 0.05] : [0.3, 0.1, 1, 3]))];

    public override string SetUp(Lab lab) =>
        $"The network of experiment 12 (784-{Width}-{Width}-10, ReLU, He) on {Seen(lab)} images of MNIST, one a step or {Large} a step, SGD at the best "
        + $"of four rates. Accuracy on the test images. As well: at most {100 * Margin:0} points lower.";

    protected override Trained Train(Lab lab, (string Norm, int Batch) setting, double rate, int seed)
    {
        var plan = new Plan(lab.Train, setting.Batch, Seen(lab) / setting.Batch, seed);
        using var network = new Perceptron(new PerceptronShape(Depth, Width), () => nn.ReLU(), () => Make(setting.Norm), Nets.Init(Nets.He));
        using var sgd = stab.optim.SGD(network.parameters(), rate, nonFinite: NonFinitePolicy.Propagate);
        double[] losses = network.Train(lab, sgd, plan);
        return Trained.Of(network.Evaluate(lab.Validation).Accuracy, Nets.Lost(losses, plan), ("accuracy", [network.Evaluate(lab.Test).Accuracy]));
    }

    protected override Finding Conclude(Lab lab, Runs runs)
    {
        Measured Accuracy(string norm, int batch) => runs.Last(Word(norm, batch), "accuracy", "0.0 %");
        Check AsWell(string statement, string norm) =>
            Check.Beyond(statement, Accuracy(norm, 1).Minus(Accuracy(norm, Large)), -Margin);
        string[] norms = [None, LayerNorm, GroupNorm];
        return new Finding(
            AsWell($"LayerNorm's accuracy with batches of 1, minus that with batches of {Large}, is above −{100 * Margin:0} points", LayerNorm),
            [
                AsWell("the same for GroupNorm", GroupNorm),
                Check.Fact("BatchNorm refuses a batch of one", Refusal() is not null, Refusal() ?? "it did not"),
            ],
            [new ResultTable("Accuracy on the test images",
                ["norm, batch", "accuracy"],
                    [.. Cases.Select(c => new ResultRow(runs.Label(Word(c.Norm, c.Batch)), [Accuracy(c.Norm, c.Batch)]))])],
            [
                Drawing.Bars(new Axes("Accuracy with batches of 1 and of 128", "norm", "accuracy"), norms,
                    [.. new[] { 1, Large }.Select(batch => ($"batch {batch}", (IReadOnlyList<Measured>)[.. norms.Select(norm => Accuracy(norm, batch))]))]),
                Drawing.Choices(runs, [.. norms.Select(norm => Word(norm, 1))], "accuracy, validation"),
            ]);
    }

    private static int Seen(Lab lab) => lab.Pick(5120, 128);

    private static string Word(string norm, int batch) => $"{norm}, batch {batch}";

    private static nn.Module<Tensor, Tensor>? Make(string norm) => norm switch
    {
        LayerNorm => stab.nn.LayerNorm(Width),
        GroupNorm => stab.nn.GroupNorm(Groups, Width),
        BatchNorm => stab.nn.BatchNorm1d(Width),
        _ => null,
    };

    /// <summary>What BatchNorm says to one sample; null: nothing.</summary>
    private static string? Refusal()
    {
        using var scope = NewDisposeScope();
        try
        {
            stab.nn.BatchNorm1d(Width).call(ones(1, Width));
            return null;
        }
        catch (ArgumentException e)
        {
            return "it said: " + e.Message.Split('\n')[0];
        }
    }
}

using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;

namespace Gallery.Experiments;

/// <summary>A reader of images, its norm, and the batch it trains with.</summary>
internal sealed record Reading(string Norm, int Rows, int Batch);

/// <summary>BatchNorm and LayerNorm inside a recurrence.</summary>
internal sealed class RecurrentNorms : Experiment<Reading>
{
    private const string None = "no norm", Shared = "BatchNorm, shared", Each = "BatchNorm a row", Layer = "LayerNorm";
    private const int Width = 100, Rows = 28, Long = 112, Small = 4, Usual = 16;
    private const double FirstWeight = 0.1, Momentum = 0.9;
    private static readonly string[] Norms = [None, Shared, Each, Layer];

    public override int Number => 16;

    public override string Name => "recurrent-norms";

    public override string Title => "In a recurrent network LayerNorm does what BatchNorm cannot";

    public override string Claim =>
        "The statistics of a recurrence differ from step to step, so BatchNorm with one set of them for all steps works badly; it needs one a step, and a "
        + "batch. LayerNorm needs neither: with small batches it trains "
        + "better than BatchNorm of either kind, and over long sequences better than no norm.";

    public override IReadOnlyList<Paper> Sources => [Papers.Ba.At("§3.1 and §6"), Papers.Cooijmans.At("§3 (statistics a time step, initial weight 0.1)")];

    public override double Cost => 24;

    protected override IReadOnlyList<Arm<Reading>> Arms { get; } =
    [
        .. Norms.Select(norm => new Arm<Reading>(Word(norm, Rows), new Reading(norm, Rows, Small), 0.01, 0.003, 0.03)),
        .. new[] { None, Layer }.Select(norm => new Arm<Reading>(Word(norm, Long), new Reading(norm, Long, Usual), 0.03, 0.01, 0.1)),
    ];

    public override string SetUp(Lab lab) =>
        $"A tanh recurrence of {Width} units reads MNIST's images row by row, {Rows} steps: h ← tanh(norm(W x + U h)); orthogonal U; BatchNorm's weights "
        + $"start at {FirstWeight} as Cooijmans et al. found to be needed, "
        + $"LayerNorm's at 1. SGD with momentum {Momentum} and global clipping to 1, {Steps(lab, Rows)} steps with batches of {Small}; and in parts of 7 "
        + $"pixels, {Long} steps, {Steps(lab, Long)} steps of training with batches of {Usual} (the papers: "
        + "LSTMs and GRUs on texts). Accuracy on the test images at the end.";

    protected override Trained Train(Lab lab, Reading setting, double rate, int seed)
    {
        using var network = new RowReader(setting.Rows, Width, Maker(setting.Norm), setting.Norm == Each);
        using var sgd = stab.optim.SGD(network.parameters(), rate, momentum: Momentum, global_clipnorm: 1, nonFinite: NonFinitePolicy.Propagate);
        var plan = new Plan(lab.Train, setting.Batch, Steps(lab, setting.Rows), seed);
        double[] losses = network.Train(lab, sgd, plan);
        return Trained.Of(network.Evaluate(lab.Validation).Accuracy, Nets.Lost(losses, plan), ("accuracy", [network.Evaluate(lab.Test).Accuracy]),
            ("loss", Nets.Chunks(losses, Deep.Window(plan.Steps))));
    }

    protected override Finding Conclude(Lab lab, Runs runs)
    {
        Measured Accuracy(string norm, int rows) => runs.Last(Word(norm, rows), "accuracy", "0.0 %");
        Check Better(string statement, string norm, string other, int rows) => Check.Above(statement, Accuracy(norm, rows), Accuracy(other, rows));
        string[] small = [.. Norms.Select(norm => Word(norm, Rows))], longer = [Word(None, Long), Word(Layer, Long)];
        Chart Loss(string title, string[] arms, int rows) =>
            Drawing.Curves(new Axes(title, "step", "cross-entropy"), runs, arms, "loss", i => (i + 1) * Deep.Window(Steps(lab, rows)));
        return new Finding(
            Better($"Batches of {Small}: LayerNorm ends better than BatchNorm with statistics a row, each at its best rate", Layer, Each, Rows),
            [
                Better($"batches of {Small}: LayerNorm ends better than BatchNorm shared by all rows", Layer, Shared, Rows),
                Better($"batches of {Small}: BatchNorm with statistics a row ends better than shared by all", Each, Shared, Rows),
                Better($"{Long} steps: LayerNorm ends better than no norm", Layer, None, Long),
                Better($"batches of {Small}: LayerNorm ends better than no norm", Layer, None, Rows),
            ],
            [new ResultTable("Accuracy on the test images at the end",
                ["norm", "accuracy"], [.. Arms.Select(a => new ResultRow(runs.Label(a.Name), [runs.Last(a.Name, "accuracy", "0.0 %")]))])],
            [
                Drawing.Bars(new Axes($"Accuracy, {Rows} steps, batches of {Small}", "", "accuracy"), [$"{Rows} steps, batches of "
                    + $"{Small}"], [.. Norms.Select(norm => (norm, (IReadOnlyList<Measured>)[Accuracy(norm, Rows)]))]),
                Loss($"Training loss, {Rows} steps", small, Rows), Loss($"Training loss, {Long} steps", longer, Long),
                Drawing.Choices(runs, [.. small, .. longer], "accuracy, validation"),
            ]);
    }

    private static string Word(string norm, int rows) => rows == Long ? $"{norm}, {Long} steps" : norm;

    private static int Steps(Lab lab, int rows) => rows == Long ? lab.Pick(150, 2) : lab.Pick(500, 3);

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
}

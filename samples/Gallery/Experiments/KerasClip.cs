using TorchStab;

namespace Gallery.Experiments;

/// <summary>Keras's two kinds of clipping by norm, with Adam, as notes recommend them.</summary>
internal sealed class KerasClip : Experiment<(double? ClipNorm, double? Global)>
{
    private const string None = "no clipping", Each = "clipnorm", Global = "global_clipnorm";
    private const double NotesRate = 0.0001, Margin = 0.05;
    private static readonly string[] Names = [None, Each, Global];

    public override int Number => 4;

    public override string Name => "keras-clip";

    public override string Title => "Keras's clipnorm helps Adam in a recurrent network";

    public override string Claim =>
        "Notes recommend Adam(lr=0.0001, clipnorm=1.) against exploding gradients. Keras's clipnorm bounds each parameter's gradient by itself, which "
        + "turns the gradient as a whole; global_clipnorm bounds all together "
        + "and keeps its direction. Both should help, and about equally. Adam, whose steps do not grow with the gradient, should need it less than SGD.";

    public override IReadOnlyList<Paper> Sources => [Papers.Keras, Papers.Pascanu.At("§3.2"), Papers.Kingma.At("§2.1 (the step is bounded)")];

    public override double Cost => 22;

    protected override IReadOnlyList<Arm<(double? ClipNorm, double? Global)>> Arms { get; } =
    [
        new(None, (null, null), Rates), new(Each, (1, null), Rates), new(Global, (null, 1), Rates),
    ];

    private static double[] Rates => [0.003, NotesRate, 0.001, 0.01, 0.03];

    public override string SetUp(Lab lab) =>
        $"The recurrence of experiment 3 on the next character of Moby-Dick, {Steps(lab)} steps of Adam, without clipping, with clipnorm=1 and with "
        + "global_clipnorm=1, at the note's learning rate and at larger ones. Loss on text it has not seen, at the end. "
        + $"The same: within {Margin} nats.";

    protected override Trained Train(Lab lab, (double? ClipNorm, double? Global) setting, double rate, int seed) =>
        new Recurrence(Adding: false).Train(lab, Steps(lab), seed, p =>
            stab.optim.Adam(p, rate, clipnorm: setting.ClipNorm, global_clipnorm: setting.Global, nonFinite: NonFinitePolicy.Propagate), _ => { });

    protected override Finding Conclude(Lab lab, Runs runs)
    {
        Measured Loss(string arm) => runs.Last(arm, "test");
        Measured AtNotes(string arm) => runs.At(arm, lab.Quick ? Rates[0] : NotesRate, run => run.Last("test"));
        double X(int i) => (i + 1) * Recurrence.Window;
        return new Finding(
            Check.Above("Without clipping the loss ends higher than with clipnorm, each at its best rate", Loss(None), Loss(Each)),
            [
                Check.Above("without clipping it ends higher than with global_clipnorm", Loss(None), Loss(Global)),
                Check.Same("clipnorm and global_clipnorm end at the same loss", Loss(Each), Loss(Global), Margin),
                Check.Above($"at the note's rate, {NotesRate}, without clipping it ends higher than with clipnorm", AtNotes(None), AtNotes(Each)),
            ],
            [new ResultTable("Loss at the end on unseen text; largest gradient norm before clipping",
                ["clipping", "loss", $"loss at rate {NotesRate}", "largest norm"],
                [.. Names.Select(n => new ResultRow(runs.Label(n), [Loss(n), AtNotes(n), runs.Last(n, "largest", "0.0e+0")]))])],
            [
                Drawing.Curves(new Axes("Adam: training loss", "step", "nats a character"), runs, Names, "loss", X),
                Drawing.Curves(new Axes("Adam: largest gradient norm of 20 steps", "step", "norm before clipping", LogY: true), runs, Names, "norm", X),
                Drawing.Choices(runs, Names, "−loss, validation"),
            ]);
    }

    private static int Steps(Lab lab) => lab.Pick(400, 10);
}

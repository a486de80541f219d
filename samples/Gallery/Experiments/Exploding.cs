using TorchStab;
using static TorchSharp.torch;
using Parameter = TorchSharp.Modules.Parameter;

namespace Gallery.Experiments;

/// <summary>A recurrent network and how its gradients are clipped.</summary>
internal sealed record Clipped(Recurrence Task, Action<Parameter[]> Clip);

/// <summary>Exploding gradients in recurrent networks, and the three ways of clipping them.</summary>
internal sealed class Exploding : Experiment<Clipped>
{
    private const string None = "no clipping", Global = "global norm", Each = "each parameter", Value = "each value";
    private const double Explosion = 10, Cap = 1000;
    private static readonly (string Name, Action<Parameter[]> Clip)[] Clips =
    [
        (None, _ => { }),
        (Global, p => stab.nn.utils.clip_grad_norm_(p, 1)),
        (Each, p => stab.nn.utils.clip_grad_norm_per_parameter_(p, 0.5)),
        (Value, p => stab.nn.utils.clip_grad_value_(p, 0.1)),
    ];

    public override int Number => 3;

    public override string Name => "exploding";

    public override string Title => "Recurrent gradients explode; clipping their norm cures it";

    public override string Claim =>
        "Through a recurrence the gradient is multiplied by the same matrix again and again and now and then explodes; one such step throws the weights "
        + "far off. With the gradient's norm bounded the same network learns better.";

    public override IReadOnlyList<Paper> Sources => [Papers.Pascanu.At("§3.2, §4.1 and §4.2")];

    public override double Cost => 45;

    protected override IReadOnlyList<Arm<Clipped>> Arms { get; } =
    [
        .. Clips.Select(c => new Arm<Clipped>($"characters, {c.Name}", new Clipped(new Recurrence(Adding: false), c.Clip), 1, 0.1, 0.3, 3)),
        .. Clips[..2].Select(c => new Arm<Clipped>($"adding, {c.Name}", new Clipped(new Recurrence(Adding: true), c.Clip), 0.03, 0.003, 0.01, 0.1)),
    ];

    public override string SetUp(Lab lab) =>
        $"A tanh recurrence of {Recurrence.Width} units (recurrent weights normal with σ = 1.5/√{Recurrence.Width}, others Xavier) on the next character "
        + $"of Moby-Dick, 50 characters at a time, {Steps(lab, false)} steps of SGD; and on the adding problem over 20 numbers "
        + $"(σ = 1.2/√{Recurrence.Width}, {Steps(lab, true)} steps). Batches of {Recurrence.Batch} sequences. Clipped: the norm of all gradients together "
        + "to 1, each parameter's to 0.5, each value to 0.1. Loss on sequences it has not seen, at the end, at most that of "
        + "guessing, which also counts for a run that is lost. Burst: the largest gradient norm without clipping, at the rate that is best with the "
        + "global norm clipped, over the median norm of that clipped run, at most 1,000.";

    protected override Trained Train(Lab lab, Clipped setting, double rate, int seed) =>
        setting.Task.Train(lab, Steps(lab, setting.Task.Adding), seed, p => optim.SGD(p, rate), setting.Clip);

    protected override Finding Conclude(Lab lab, Runs runs)
    {
        Measured Loss(string task, string clip) => runs.Last($"{task}, {clip}", "test");
        double Rate(string task) => runs.Rate($"{task}, {Global}");
        Measured Burst(string task) => runs.At($"{task}, {None}", Rate(task), run => run.Last("largest"))
            .Over(runs.Last($"{task}, {Global}", "median")).Map(times => Math.Min(times, Cap));
        Check Bursts(string statement, string task) => Check.Times(statement, Burst(task), Burst(task).Map(_ => 1), Explosion);
        string[] characters = [.. Clips.Select(c => $"characters, {c.Name}")], adding = [.. Clips[..2].Select(c => $"adding, {c.Name}")];
        Axes Norms(string task, double rate) => new($"{task}: largest norm of 20 steps, rate {rate}", "step", "norm before clipping", LogY: true);
        double X(int i) => (i + 1) * Recurrence.Window;
        return new Finding(
            Check.Above("Characters: without clipping the loss ends higher than with the global norm clipped, each at its best rate",
                Loss("characters", None), Loss("characters", Global)),
            [
                Check.Above("adding problem: the same", Loss("adding", None), Loss("adding", Global)),
                Bursts($"characters: without clipping the largest norm is over {Explosion:0} times the usual one", "characters"),
                Bursts($"adding problem: without clipping the largest norm is over {Explosion:0} times the usual one", "adding"),
            ],
            [new ResultTable("Loss at the end on unseen sequences; largest gradient norm before clipping", ["task, clipping", "loss", "largest norm"],
                [.. Arms.Select(a => new ResultRow(runs.Label(a.Name), [runs.Last(a.Name, "test"), runs.Last(a.Name, "largest", "0.0e+0")]))])],
            [
                Drawing.Curves(Norms("Characters", Rate("characters")), runs.Only(Rate("characters")), characters, "norm", X),
                Drawing.Curves(new Axes("Characters: training loss", "step", "nats a character", LogY: true), runs, characters, "loss", X),
                Drawing.Curves(Norms("Adding problem", Rate("adding")), runs.Only(Rate("adding")), adding, "norm", X),
                Drawing.Curves(new Axes("Adding problem: training loss", "step", "squared error", LogY: true), runs, adding, "loss", X),
                Drawing.Choices(runs, characters, "−loss, validation"),
                Drawing.Choices(runs, adding, "−loss, validation"),
            ]);
    }

    private static int Steps(Lab lab, bool adding) => adding ? lab.Pick(1000, 10) : lab.Pick(400, 10);
}

using ScottPlot;
using TorchSharp;
using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;
using Parameter = TorchSharp.Modules.Parameter;

namespace Gallery.Experiments;

/// <summary>Loss and gradient norm (before clipping) of every step, and what guessing costs; a run that was lost ends early.</summary>
internal sealed record ExplodingRun(double[] Losses, double[] Norms, double Guessing);

/// <summary>Exploding gradients in recurrent networks, and the three ways of clipping them.</summary>
internal sealed class Exploding : Experiment<IReadOnlyDictionary<(bool Adding, string Clip), ExplodingRun>>
{
    private const string None = "none", Global = "global norm";
    private const int Width = 64, Batch = 20, Window = 25;
    private const double Explosion = 10;
    private static readonly (string Name, Action<IEnumerable<Parameter>> Apply)[] Clips =
    [
        (None, _ => { }),
        ("each value, 0.1", p => stab.nn.utils.clip_grad_value_(p, 0.1)),
        ("each parameter's norm, 0.5", p => stab.nn.utils.clip_grad_norm_per_parameter_(p, 0.5)),
        (Global, p => stab.nn.utils.clip_grad_norm_(p, 1)),
    ];

    public override int Number => 2;

    public override string Name => "exploding";

    public override string Title => "Recurrent gradients explode; clipping their norm cures it";

    public override string Claim =>
        "Through a recurrence the gradient is multiplied by the same matrix again and again and now and then explodes; one such step throws the weights far off. Bounding the gradient's norm lets the same network learn at the same learning rate.";

    public override string Source => "Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural networks, §3.2, §4.1 and §4.2";

    public override string SetUp(Lab lab) =>
        $"A tanh recurrence of {Width} units (recurrent weights normal with σ = {Gain(false)}/√{Width}, others Xavier) on the next character of Moby-Dick, {Length(false)} characters at a time, SGD {Rate(false)}; and on the adding problem over {Length(true)} "
        + $"numbers (σ = {Gain(true)}/√{Width}, SGD {Rate(true)}). {Steps(lab, false)} and {Steps(lab, true)} steps of {Batch} sequences; clipping each value to 0.1, each parameter's norm to 0.5, the norm of all to 1. Loss at the end: median of the last {Window} steps, at most "
        + "that of guessing, which also counts for a run lost to NaN. Burst: largest gradient norm over its median.";

    protected override IReadOnlyDictionary<(bool Adding, string Clip), ExplodingRun> Measure(Lab lab, int seed)
    {
        var runs = new Dictionary<(bool, string), ExplodingRun>();
        foreach (bool adding in lab.Each(new[] { false, true }))
            foreach (var (name, apply) in lab.Each(Clips)) runs[(adding, name)] = Train(lab, seed, adding, apply);
        return runs;
    }

    protected override Finding Conclude(Lab lab, IReadOnlyList<IReadOnlyDictionary<(bool Adding, string Clip), ExplodingRun>> runs)
    {
        Measured Loss(bool adding, string clip) => Measured.Of(runs, run => AtEnd(run[(adding, clip)]));
        Measured Burst(bool adding, string clip) => Measured.Of(runs, run => run[(adding, clip)].Norms is var n ? n.Max() / Median(n) : 0, "0.0e+0");
        IEnumerable<Check> Checks(bool adding, string task) =>
        [
            new Check($"{task}: without clipping the gradient bursts to over {Explosion:0} times its median, with every seed", Burst(adding, None).Values.All(b => !(b <= Explosion)), $"{Burst(adding, None)}"),
            Check.Above($"{task}: with the global norm clipped the loss ends lower than without", Loss(adding, None), Loss(adding, Global)),
        ];
        return new Finding(
            [.. Checks(false, "Characters"), .. Checks(true, "Adding")],
            [new ResultTable("Loss at the end, and the largest gradient norm before clipping over its median",
                ["clipping", "characters: loss", "characters: burst", "adding: loss", "adding: burst"],
                [.. Clips.Select(c => new ResultRow(c.Name, [Loss(false, c.Name), Burst(false, c.Name), Loss(true, c.Name), Burst(true, c.Name)]))])],
            Draw(runs), Lost(runs));
    }

    private static string Lost(IReadOnlyList<IReadOnlyDictionary<(bool Adding, string Clip), ExplodingRun>> runs)
    {
        string[] lost = [.. from run in runs from one in run where !IsAlive(one.Value) select $"{(one.Key.Adding ? "adding" : "characters")}, {one.Key.Clip}: after {one.Value.Losses.Length} steps"];
        return lost.Length == 0 ? "" : $"Lost to NaN or infinity, which ends their lines: {string.Join("; ", lost)}.";
    }

    private static bool IsAlive(ExplodingRun run) => double.IsFinite(run.Losses[^1] + run.Norms[^1]);

    private static int Steps(Lab lab, bool adding) => adding ? lab.Pick(1500, 25) : lab.Pick(500, 25);

    private static int Length(bool adding) => adding ? 20 : 50;

    private static double Rate(bool adding) => adding ? 0.1 : 1;

    private static double Gain(bool adding) => adding ? 1.2 : 1.5;

    private static SequenceTask Task(Lab lab, bool adding, Generator random) =>
        adding ? SequenceTask.Adding(Batch, Length(true), random) : SequenceTask.Characters(lab.Novel, Batch, Length(false));

    private static double Median(double[] values) => values.Order().ElementAt(values.Length / 2);

    private static double AtEnd(ExplodingRun run) => IsAlive(run) ? Math.Min(run.Guessing, Median(run.Losses[^Window..])) : run.Guessing;

    private static ExplodingRun Train(Lab lab, int seed, bool adding, Action<IEnumerable<Parameter>> clip)
    {
        manual_seed(seed);
        using var random = new Generator((ulong)seed, CPU);
        var task = Task(lab, adding, random);
        using var rnn = nn.RNN(task.Inputs, Width);
        using var head = nn.Linear(Width, task.Outputs);
        foreach (var (name, weight) in rnn.named_parameters().Concat(head.named_parameters()).Where(p => p.parameter.dim() > 1))
            _ = name.StartsWith("weight_hh", StringComparison.Ordinal) ? stab.nn.init.normal_(weight, 0, Gain(adding) / Math.Sqrt(Width)) : stab.nn.init.xavier_normal_(weight);
        Parameter[] parameters = [.. rnn.parameters(), .. head.parameters()];
        using var sgd = optim.SGD(parameters, Rate(adding));
        var (losses, norms) = (new List<double>(), new List<double>());
        using var batches = task.Batches.GetEnumerator();
        foreach (int _ in lab.Each(Steps(lab, adding)))
        {
            using var scope = NewDisposeScope();
            batches.MoveNext();
            sgd.zero_grad();
            var loss = batches.Current.Loss(head.call(rnn.call(batches.Current.Input, null).Item1));
            loss.backward();
            losses.Add(loss.ToDouble());
            norms.Add(stab.nn.utils.clip_grad_norm_(parameters, double.PositiveInfinity));
            if (!double.IsFinite(losses[^1] + norms[^1])) break;
            clip(parameters);
            sgd.step();
        }
        return new ExplodingRun([.. losses], [.. norms], task.Guessing);
    }

    private static Chart Draw(IReadOnlyList<IReadOnlyDictionary<(bool Adding, string Clip), ExplodingRun>> runs)
    {
        var chart = new Chart();
        foreach (bool adding in new[] { false, true })
        {
            string task = adding ? "Adding problem" : "Characters";
            var loss = chart.AddPanel($"{task}: loss", "step", adding ? "squared error" : "nats a character", logY: true);
            var norm = chart.AddPanel($"{task}: gradient norm before clipping (largest of {Window} steps)", "step", "norm", logY: true);
            for (int i = 0; i < Clips.Length; i++)
            {
                var of = runs.Select(run => run[(adding, Clips[i].Name)]).ToArray();
                loss.Series(Clips[i].Name, Chunks(of, r => r.Losses, Median), i, markers: false);
                norm.Series(Clips[i].Name, Chunks(of, r => r.Norms, Enumerable.Max), i, markers: false);
            }
            // The burst that loses a run is in the table; here it would press all else flat.
            if (adding) norm.LimitY(0.1, 1000);
            // Room above the lines for the legend.
            loss.LimitY(adding ? 0.05 : 1, adding ? 10 : 100);
            loss.Legend(Alignment.UpperRight);
        }
        return chart;

        static (double, Measured)[] Chunks(ExplodingRun[] of, Func<ExplodingRun, double[]> values, Func<double[], double> summary) =>
            [.. Enumerable.Range(1, of.Max(r => r.Losses.Length) / Window).Select(k => ((double)(k * Window),
                Measured.Of(of.Where(r => r.Losses.Length >= k * Window), r => summary(values(r)[((k - 1) * Window)..(k * Window)]))))];
    }
}

using ScottPlot;
using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;

namespace Gallery.Experiments;

/// <summary>Of one network: what goes into each ReLU before training, the training loss as means of <see cref="He.Window"/> steps, test accuracy.</summary>
internal sealed record HeRun(double[] Deviations, double[] Losses, double Accuracy);

/// <summary>He against Xavier initialization in deep plain ReLU networks.</summary>
internal sealed class He : Experiment<IReadOnlyDictionary<(int Depth, string Init), HeRun>>
{
    public const int Window = 20;
    private const int Shallow = 22, Deep = 30, Width = 128, Batch = 128;
    private const double LearningRate = 0.01, Momentum = 0.9, Decay = 5e-4;
    /// <summary>Half of what guessing among ten classes costs.</summary>
    private static readonly double Converged = Math.Log(10) / 2;
    private static readonly (int Depth, string Init)[] Networks = [(Shallow, "He"), (Shallow, "Xavier"), (Deep, "He"), (Deep, "Xavier")];

    public override int Number => 4;

    public override string Name => "he";

    public override string Title => "He initialization trains deep ReLU networks where Xavier stalls";

    public override string Claim =>
        "A ReLU halves the variance, which He's variance 2/n makes up for and Xavier's 1/n does not. At 22 layers both converge and He starts to learn earlier; at 30 layers He converges and Xavier stalls.";

    public override string Source => "He, Zhang, Ren & Sun 2015, Delving deep into rectifiers, §2.2 and figures 2 and 3";

    public override string SetUp(Lab lab) =>
        $"Plain ReLU perceptrons with {Shallow} and {Deep} layers of weights, {Width} units wide, on MNIST ({lab.Train.Count} training images); the paper has convolutions on ImageNet. Its optimizer: SGD {LearningRate}, momentum "
        + $"{Momentum}, weight decay {Decay}, batches of {Batch}; {Steps(lab)} steps. Biases 0 at the start. Converged: the training loss, averaged over {Window} steps, is below half of ln 10.";

    protected override IReadOnlyDictionary<(int Depth, string Init), HeRun> Measure(Lab lab, int seed) =>
        lab.Each(Networks).Select(network => (network, Run: Train(lab, seed, network.Depth, network.Init))).ToDictionary(pair => pair.network, pair => pair.Run);

    protected override Finding Conclude(Lab lab, IReadOnlyList<IReadOnlyDictionary<(int Depth, string Init), HeRun>> runs)
    {
        Measured Steps((int, string) network) => Measured.Of(runs, run => StepsToConverge(run[network]), "0");
        Measured Last((int, string) network) => Measured.Of(runs, run => run[network].Losses[^1]);
        var rows = Networks.Select(n => new ResultRow($"{n.Depth} layers, {n.Init}",
            [Measured.Of(runs, run => run[n].Deviations[^1] / run[n].Deviations[0], "0.0e+0"), Steps(n), Last(n), Measured.Of(runs, run => run[n].Accuracy, "0.0 %")]));
        bool Converges((int, string) network) => runs.All(run => double.IsFinite(StepsToConverge(run[network])));
        var (he22, xavier22, he30, xavier30) = (Networks[0], Networks[1], Networks[2], Networks[3]);
        return new Finding(
            [
                new Check($"At {Shallow} layers both converge, with every seed", Converges(he22) && Converges(xavier22), $"steps with He {Steps(he22)}, with Xavier {Steps(xavier22)} (∞: never)"),
                new Check($"At {Shallow} layers He converges earlier, with every seed", runs.All(run => StepsToConverge(run[he22]) < StepsToConverge(run[xavier22])), $"{Steps(he22)} against {Steps(xavier22)}"),
                new Check($"At {Deep} layers He converges, with every seed", Converges(he30), $"steps {Steps(he30)}"),
                new Check($"At {Deep} layers Xavier stalls, with every seed", runs.All(run => double.IsPositiveInfinity(StepsToConverge(run[xavier30]))), $"loss at the end {Last(xavier30)}"),
            ],
            [new ResultTable("What goes into the last ReLU over what goes into the first (standard deviations before training); convergence; the end",
                ["network", "last over first", "steps to converge (∞: never)", "training loss", "accuracy"], [.. rows])],
            Draw(runs));
    }

    private static int Steps(Lab lab) => lab.Pick(800, 40);

    private static double StepsToConverge(HeRun run) => Array.FindIndex(run.Losses, loss => loss < Converged) is >= 0 and var at ? (at + 1) * Window : double.PositiveInfinity;

    private static HeRun Train(Lab lab, int seed, int depth, string init)
    {
        manual_seed(seed);
        using var network = new Perceptron(new PerceptronShape(depth - 1, Width), () => nn.ReLU(),
            initialize: Nets.Init(w => init == "He" ? stab.nn.init.kaiming_normal_(w, nonlinearity: Nonlinearity.ReLU) : stab.nn.init.xavier_normal_(w)));
        using var sgd = stab.optim.SGD(network.parameters(), LearningRate, Momentum, weight_decay: Decay);
        using var random = new Generator((ulong)seed, CPU);
        double[] deviations = Look(network, lab.Train);
        var losses = lab.Each(Steps(lab)).Select(_ => network.Step(sgd, lab.Train, Batch, random)).ToArray();
        return new HeRun(deviations, [.. losses.Chunk(Window).Select(part => part.Average())], network.Evaluate(lab.Test).Accuracy);
    }

    private static double[] Look(Perceptron network, Mnist data)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        return Nets.Deviations(network.Trace(data.Batch(arange(500)).Images).PreActivations);
    }

    private static Chart Draw(IReadOnlyList<IReadOnlyDictionary<(int Depth, string Init), HeRun>> runs)
    {
        var chart = new Chart();
        foreach (int depth in new[] { Shallow, Deep })
        {
            var panel = chart.AddPanel($"Training loss, {depth} layers", "step", "cross-entropy");
            foreach (var network in Networks.Where(n => n.Depth == depth))
                panel.Series(network.Init, Points(network, run => run.Losses, Window), Colour(network));
            panel.Legend(Alignment.UpperRight);
        }
        var start = chart.AddPanel("Before training: what goes into each ReLU", "layer, first to last", "standard deviation", logY: true);
        foreach (var network in Networks.Where(n => n.Depth == Deep)) start.Series(network.Init, Points(network, run => run.Deviations, 1), Colour(network));
        start.Legend(Alignment.LowerLeft);
        return chart;

        static int Colour((int Depth, string Init) network) => network.Init == "He" ? 0 : 1;
        (double, Measured)[] Points((int, string) network, Func<HeRun, double[]> values, double stride) =>
            [.. Enumerable.Range(0, values(runs[0][network]).Length).Select(at => ((at + 1) * stride, Measured.Of(runs, run => values(run[network])[at])))];
    }
}

using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;

namespace Gallery.Experiments;

/// <summary>Xavier against plain initializations with tanh: variance by layer, before and after training.</summary>
internal sealed class Xavier : Experiment<Func<Tensor, Tensor>>
{
    private const string Small = "normal, σ = 0.01", Standard = "uniform ±1/√n", Glorot = "Xavier";
    private const int Depth = 5, Width = 200, Batch = 64, Probe = 500;
    private static readonly string[] Names = [Standard, Glorot, Small];

    public override int Number => 5;

    public override string Name => "xavier";

    public override string Title => "Xavier initialization keeps variance through tanh layers";

    public override string Claim =>
        "Under plain initialization the variance of activations shrinks from layer to layer forward, that of gradients backward. Xavier's variance "
        + "2/(n_in + n_out) "
        + "keeps both nearly level at the start, still more so after training, and the network learns better.";

    public override IReadOnlyList<Paper> Sources => [Papers.Glorot.At("§4.2 and figures 6 to 8 (their standard initialization is the uniform ±1/√n)")];

    public override double Cost => 14;

    protected override IReadOnlyList<Arm<Func<Tensor, Tensor>>> Arms { get; } =
    [
        new(Standard, w => stab.nn.init.uniform_(w, -1 / Math.Sqrt(w.shape[1]), 1 / Math.Sqrt(w.shape[1])), 0.1, 0.03, 0.3, 1),
        new(Glorot, w => stab.nn.init.xavier_uniform_(w), 0.1, 0.03, 0.3, 1),
        new(Small, w => stab.nn.init.normal_(w, 0, 0.01), 0.1, 0.03, 0.3, 1),
    ];

    public override string SetUp(Lab lab) =>
        $"{Depth} hidden tanh layers of {Width} units on {lab.Train.Count} images of MNIST (the paper: up to 5 layers of 1000 on larger sets), "
        + $"{Steps(lab)} steps of SGD with batches of {Batch}, biases 0 at the start. On {Probe} test images: standard deviation "
        + "of each layer's activations, and of the loss's gradient with respect to what goes into them; compared is the largest of a network's layers "
        + "over the smallest. Learning: mean training loss of all steps, so how fast it falls.";

    protected override Trained Train(Lab lab, Func<Tensor, Tensor> fill, double rate, int seed)
    {
        using var network = new Perceptron(new PerceptronShape(Depth, Width), () => nn.Tanh(), initialize: Nets.Init(fill));
        using var sgd = stab.optim.SGD(network.parameters(), rate, nonFinite: NonFinitePolicy.Propagate);
        var plan = new Plan(lab.Train, Batch, Steps(lab), seed);
        var (activations, gradients) = Look(network, lab.Test);
        double[] losses = network.Train(lab, sgd, plan);
        var (activationsAfter, gradientsAfter) = Look(network, lab.Test);
        return Trained.Of(network.Evaluate(lab.Validation).Accuracy, Nets.Lost(losses, plan), ("activations", activations), ("gradients", gradients),
            ("activations after", activationsAfter),
            ("gradients after", gradientsAfter), ("early", [Nets.Early(losses, plan.Steps)]), ("loss", Nets.Chunks(losses, Deep.Window(plan.Steps))),
                ("accuracy", [network.Evaluate(lab.Test).Accuracy]));
    }

    protected override Finding Conclude(Lab lab, Runs runs)
    {
        Measured Unlevel(string arm, string series) => runs.Of(arm, run => run.Series[series].Max() / run.Series[series].Min(), "0.00");
        Check Level(string statement, string series) => Check.Above(statement, Unlevel(Standard, series), Unlevel(Glorot, series));
        return new Finding(
            Level("Before training activations differ more between layers with the uniform ±1/√n than with Xavier", "activations"),
            [
                Level("before training gradients differ more with the uniform ±1/√n", "gradients"),
                Level("after training activations differ more with the uniform ±1/√n", "activations after"),
                Level("after training gradients differ more with the uniform ±1/√n", "gradients after"),
                Check.Above("the uniform ±1/√n learns slower than Xavier (mean loss)", runs.Last(Standard, "early"), runs.Last(Glorot, "early")),
            ],
            [new ResultTable("Largest standard deviation over the smallest, of the hidden layers; mean training loss; accuracy on the test images",
                ["initialization", "activations before", "gradients before", "activations after", "gradients after", "loss", "accuracy"],
                [.. Names.Select(n => new ResultRow(runs.Label(n),
                    [Unlevel(n, "activations"), Unlevel(n, "gradients"), Unlevel(n, "activations after"), Unlevel(n, "gradients after"),
                    runs.Last(n, "early"), runs.Last(n, "accuracy", "0.0 %")]))])],
            [
                .. new[] { ("activations", "Activations before training"), ("gradients", "Gradients before training"),
                    ("activations after", "Activations after training"), ("gradients after", "Gradients after training") }
                    .Select(p => Drawing.Curves(new Axes(p.Item2, "layer, first to last", "standard deviation", LogY: true), runs, Names, p.Item1, i => i + 1)),
                Drawing.Curves(new Axes("Training loss", "step", "cross-entropy"), runs, Names, "loss", i => (i + 1) * Deep.Window(Steps(lab))),
                Drawing.Choices(runs, Names, "accuracy, validation"),
            ]);
    }

    private static int Steps(Lab lab) => lab.Pick(500, 10);

    private static (double[] Activations, double[] Gradients) Look(Perceptron network, Images data)
    {
        using var scope = NewDisposeScope();
        var (images, labels) = data.Batch(arange(Probe));
        var trace = network.Trace(images);
        var gradients = autograd.grad([nn.functional.cross_entropy(trace.Output, labels)], [.. trace.PreActivations]);
        return (Nets.Deviations(trace.Activations), Nets.Deviations(gradients));
    }
}

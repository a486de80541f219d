using ScottPlot;
using TorchSharp;
using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;

namespace Gallery.Experiments;

/// <summary>Gradient by layer in deep networks: a product of derivatives.</summary>
internal sealed class Vanishing : Experiment<IReadOnlyDictionary<(string Activation, int Depth), double[]>>
{
    private const int Width = 100, Batch = 500, Shown = 20;
    /// <summary>The largest derivative of the sigmoid, at 0.</summary>
    private const double Bound = 0.25;
    private static readonly string[] Activations = ["sigmoid", "tanh", "ReLU"];

    public override int Number => 1;

    public override string Name => "vanishing";

    public override string Title => "Gradients vanish in deep sigmoid networks";

    public override string Claim =>
        "On its way back the gradient is multiplied by one derivative a layer. The sigmoid's is at most 1/4, so with weights that pass variance on, the gradient "
        + "shrinks at least fourfold a layer; less with tanh; hardly with ReLU and He initialization.";

    public override string Source =>
        "Hochreiter 1991, Untersuchungen zu dynamischen neuronalen Netzen; Bengio, Simard & Frasconi 1994, Learning long-term dependencies with gradient descent is "
        + "difficult; Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks, §3";

    public override string SetUp(Lab lab) =>
        $"Untrained networks of {string.Join(", ", Depths(lab))} hidden layers of {Width} units on {Batch} images of MNIST. Weights by xavier_normal_ before sigmoid and tanh, by "
        + "kaiming_normal_ before ReLU; biases 0. Measured: the norm of the cross-entropy's gradient with respect to what goes into each layer's activation.";

    protected override IReadOnlyDictionary<(string Activation, int Depth), double[]> Measure(Lab lab, int seed)
    {
        var norms = new Dictionary<(string, int), double[]>();
        using var random = new Generator((ulong)seed, CPU);
        var (images, labels) = lab.Train.Draw(Batch, random);
        foreach (string activation in lab.Each(Activations))
            foreach (int depth in lab.Each(Depths(lab)))
                norms[(activation, depth)] = Gradients(activation, depth, images, labels);
        return norms;
    }

    protected override Finding Conclude(Lab lab, IReadOnlyList<IReadOnlyDictionary<(string Activation, int Depth), double[]>> runs)
    {
        int[] depths = Depths(lab);
        Measured Factor(string activation, int depth) => Measured.Of(runs, run => Math.Pow(run[(activation, depth)][0] / run[(activation, depth)][^1], 1.0 / (depth - 1)));
        var rows = Activations.Select(a => new ResultRow(a, [.. depths.Select(d => Factor(a, d))])).Append(new ResultRow("bound for sigmoid", [.. depths.Select(_ => Measured.Exact(Bound))]));
        var (sigmoid, tanh, relu) = (Factor("sigmoid", depths[^1]), Factor("tanh", depths[^1]), Factor("ReLU", depths[^1]));
        return new Finding(
            [
                new Check("With sigmoid the gradient shrinks at least fourfold a layer, at every depth and with every seed", depths.All(d => Factor("sigmoid", d).Most <= Bound), $"factor a layer {sigmoid} at depth {depths[^1]}"),
                Check.Above($"With tanh it shrinks less, at depth {depths[^1]}", tanh, sigmoid),
                new Check($"With ReLU and He it loses less than a tenth a layer, at depth {depths[^1]}", Math.Abs(relu.Mean - 1) < 0.1, $"factor a layer {relu}"),
            ],
            [new ResultTable("Factor of the gradient's norm from a layer to the one before (geometric mean)", ["activation", .. depths.Select(d => $"{d} layers")], [.. rows])],
            Draw(runs, depths));
    }

    private static int[] Depths(Lab lab) => lab.Pick<int[]>([5, 10, Shown, 30], [5, Shown]);

    private static double[] Gradients(string activation, int depth, Tensor images, Tensor labels)
    {
        using var scope = NewDisposeScope();
        using var network = new Perceptron(new PerceptronShape(depth, Width), () => activation switch { "sigmoid" => nn.Sigmoid(), "tanh" => nn.Tanh(), _ => nn.ReLU() },
            initialize: Nets.Init(w => activation == "ReLU" ? stab.nn.init.kaiming_normal_(w, nonlinearity: Nonlinearity.ReLU) : stab.nn.init.xavier_normal_(w)));
        var trace = network.Trace(images);
        var loss = nn.functional.cross_entropy(trace.Output, labels);
        return [.. autograd.grad([loss], [.. trace.PreActivations]).Select(g => g.norm().ToDouble())];
    }

    private static Chart Draw(IReadOnlyList<IReadOnlyDictionary<(string Activation, int Depth), double[]>> runs, int[] depths)
    {
        var chart = new Chart();
        var layers = chart.AddPanel($"Gradient by layer, {Shown} layers", "layer, first to last", "norm", logY: true);
        var ends = chart.AddPanel("First layer's gradient over the last's", "hidden layers", "ratio", logY: true);
        for (int i = 0; i < Activations.Length; i++)
        {
            string activation = Activations[i];
            var norms = Enumerable.Range(0, Shown).Select(layer => (X: layer + 1.0, Y: Measured.Of(runs, run => run[(activation, Shown)][layer]))).ToArray();
            var ratios = depths.Select(d => (X: (double)d, Y: Measured.Of(runs, run => run[(activation, d)][0] / run[(activation, d)][^1]))).ToArray();
            layers.Series(activation, norms, i);
            ends.Series(activation, ratios, i);
        }
        double last = Measured.Of(runs, run => run[("sigmoid", Shown)][^1]).Mean;
        layers.Line("1/4 a layer", Enumerable.Range(1, Shown).Select(layer => ((double)layer, last * Math.Pow(Bound, Shown - layer))), colour: 0, dashed: true);
        ends.Line("1/4 a layer", depths.Select(d => ((double)d, Math.Pow(Bound, d - 1))), colour: 0, dashed: true);
        layers.Legend(Alignment.LowerRight);
        ends.Legend(Alignment.LowerLeft);
        return chart;
    }
}

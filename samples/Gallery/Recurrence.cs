using TorchSharp;
using TorchStab;
using static TorchSharp.torch;
using Parameter = TorchSharp.Modules.Parameter;

namespace Gallery;

/// <summary>A tanh recurrence whose weights are large enough for its gradients to explode now and then.</summary>
/// <param name="Adding">The adding problem; otherwise the next character of the novel.</param>
internal sealed record Recurrence(bool Adding)
{
    public const int Width = 64, Batch = 20, Window = 20;

    public int Length => Adding ? 20 : 50;

    /// <summary>The recurrent weights' σ times √<see cref="Width"/>.</summary>
    public double Gain => Adding ? 1.2 : 1.5;

    /// <summary>Trains it: “loss” and “norm” (before clipping) of each step, and “test” at the end, at most that of guessing. Score: the loss on validation
    /// sequences, negative.</summary>
    /// <param name="lab">The data.</param>
    /// <param name="steps">How many.</param>
    /// <param name="seed">Of the adding problem's numbers.</param>
    /// <param name="make">The optimizer.</param>
    /// <param name="clip">Changes the gradients before a step.</param>
    public Trained Train(Lab lab, int steps, int seed, Func<Parameter[], optim.Optimizer> make, Action<Parameter[]> clip)
    {
        using var random = new Generator((ulong)seed, CPU);
        var task = Adding ? SequenceTask.Adding(Batch, Length, random) : SequenceTask.Characters(lab.Novel, Batch, Length);
        using var rnn = nn.RNN(task.Inputs, Width);
        using var head = nn.Linear(Width, task.Outputs);
        Parameter[] parameters = Initialize(rnn, head);
        using var optimizer = make(parameters);
        var (losses, norms) = (new List<double>(), new List<double>());
        using var batches = task.Training.GetEnumerator();
        foreach (int _ in lab.Each(steps))
        {
            using var scope = NewDisposeScope();
            batches.MoveNext();
            optimizer.zero_grad();
            var loss = Loss(batches.Current);
            loss.backward();
            var (value, norm) = (loss.ToDouble(), stab.nn.utils.clip_grad_norm_(parameters, double.PositiveInfinity));
            if (!double.IsFinite(value + norm)) break;
            losses.Add(value);
            norms.Add(norm);
            clip(parameters);
            optimizer.step();
        }
        return Trained.Of(-Held(task.Validation), losses.Count < steps ? losses.Count : null, ("test", [Held(task.Test)]),
            ("loss", Chunks(losses, Median)), ("norm", Chunks(norms, Enumerable.Max)), ("largest", [norms.Max()]), ("median", [Median(norms)]));

        Tensor Loss(SequenceBatch batch) => batch.Loss(head.call(rnn.call(batch.Input, null).Item1));
        double Held(IEnumerable<SequenceBatch> held) => Mean(held, Loss) is var mean && mean < task.Guessing ? mean : task.Guessing;
    }

    private Parameter[] Initialize(TorchSharp.Modules.RNN rnn, TorchSharp.Modules.Linear head)
    {
        foreach (var (name, weight) in rnn.named_parameters().Concat(head.named_parameters()).Where(p => p.parameter.dim() > 1))
            _ = name.StartsWith("weight_hh", StringComparison.Ordinal) ? stab.nn.init.normal_(weight, 0, Gain / Math.Sqrt(Width))
                : stab.nn.init.xavier_normal_(weight);
        return [.. rnn.parameters(), .. head.parameters()];
    }

    private static double Mean(IEnumerable<SequenceBatch> batches, Func<SequenceBatch, Tensor> loss)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        return batches.Average(batch => loss(batch).ToDouble());
    }

    private static double[] Chunks(List<double> values, Func<double[], double> summary) => [.. values.Chunk(Window).Select(summary)];

    private static double Median(IEnumerable<double> values) => values.Order().ToArray() is var ordered ? ordered[ordered.Length / 2] : 0;
}

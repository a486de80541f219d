using System.Diagnostics;
using TorchStab.Samples;
using static TorchSharp.torch;

namespace SwapModules;

/// <summary>What a phase came to: the median time of a step or a batch, and the loss or accuracy at its end.</summary>
internal sealed record Phase(string Name, double Milliseconds, string Result);

/// <summary>Trains and evaluates the model, shows how far it is, and takes the time of each step.</summary>
internal sealed class Phases(nn.Module<Tensor, Tensor> model, Patterns data, ProgressView view, CancellationToken stop)
{
    private const int Milestones = 5;
    private readonly List<Phase> _done = [];
    private int _step;

    public IReadOnlyList<Phase> Done => _done;

    /// <summary>Trains for some steps; <paramref name="step"/> applies the gradients.</summary>
    public void Train(string name, int steps, Action zeroGrad, Action step)
    {
        model.train();
        float loss = float.NaN;
        Measure(name, steps, () =>
        {
            using var scope = NewDisposeScope();
            var (images, labels) = data[_step++];
            zeroGrad();
            var error = nn.functional.cross_entropy(model.call(images), labels);
            error.backward();
            step();
            loss = error.item<float>();
        }, () => $"loss {loss:0.0000}");
    }

    /// <summary>Runs all data through the model in eval mode.</summary>
    public void Evaluate(string name)
    {
        model.eval();
        using var _ = no_grad();
        long right = 0, seen = 0;
        int batch = 0;
        Measure(name, data.Batches, () =>
        {
            using var scope = NewDisposeScope();
            var (images, labels) = data[batch++];
            right += model.call(images).argmax(1).eq(labels).sum().item<long>();
            seen += labels.shape[0];
        }, () => $"{100.0 * right / seen:0.0} % right");
    }

    private void Measure(string name, int times, Action body, Func<string> result)
    {
        var watch = new Stopwatch();
        var milliseconds = new List<double>();
        for (int i = 0; i < times && !stop.IsCancellationRequested; i++)
        {
            watch.Restart();
            body();
            milliseconds.Add(watch.Elapsed.TotalMilliseconds);
            view.Update(new ProgressRow(name, (i + 1.0) / times, [$"{i + 1}/{times}", result()]), milestone: i + 1 == times
                || (i + 1) % Math.Max(1, times / Milestones) == 0);
        }
        if (milliseconds.Count == 0) return;
        milliseconds.Sort();
        _done.Add(new Phase(name, milliseconds[milliseconds.Count / 2], result()));
    }
}

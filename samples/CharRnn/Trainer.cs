using System.Diagnostics;
using System.Globalization;
using TorchSharp;
using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;
using Optimizer = TorchSharp.torch.optim.Optimizer;
using State = (TorchSharp.torch.Tensor h, TorchSharp.torch.Tensor c);

namespace CharRnn;

/// <summary>Trains one model by truncated backpropagation: the state goes on from window to window, the gradient does not.</summary>
internal sealed class Trainer(Novel novel, TrainingSettings settings, ProgressView view, CancellationToken stop)
{
    private const int Milestones = 10;
    private readonly Device _device = Devices.Open(settings.Device);

    public static string[] Columns { get; } = ["step", "bits/char", "gradient norm", "clipped"];

    public History Train(ModelSettings modelSettings)
    {
        var history = new History(modelSettings);
        var watch = Stopwatch.StartNew();
        // Every model starts from the same stream and reads the same windows.
        manual_seed(settings.Seed);
        using var model = new CharModel(modelSettings.Cell, novel.Alphabet.Length, settings);
        model.to(_device);
        using var optimizer = NewOptimizer(modelSettings, model);
        var precision = new MixedPrecision(settings.Precision, _device);
        State? state = null;
        using var windows = novel.Training(settings.Batch, settings.Length).GetEnumerator();
        while (history.Steps.Count < settings.Steps && history.ExplodedAt is null && !stop.IsCancellationRequested)
        {
            using var scope = NewDisposeScope();
            windows.MoveNext();
            var (input, target, restarts) = windows.Current;
            state = Run(history, model, optimizer, precision, input, target, restarts ? null : state);
            Show(history);
        }
        Release(state);
        Finish(history, model);
        history.Seconds = watch.Elapsed.TotalSeconds;
        return history;
    }

    private static Optimizer NewOptimizer(ModelSettings settings, CharModel model) => settings.Optimizer == OptimizerKind.SGD
        ? optim.SGD(model.parameters(), settings.LearningRate, momentum: 0.9)
        : optim.Adam(model.parameters(), settings.LearningRate);

    private State Run(History history, CharModel model, Optimizer optimizer, MixedPrecision precision, Tensor input, Tensor target, State? state)
    {
        foreach (var parameter in model.parameters()) parameter.grad = null;
        var (loss, (h, c)) = Forward(model, precision, input, target, state);
        precision.Scaler.scale(loss).backward();
        precision.Scaler.unscale_(optimizer);
        double bound = history.Model.MaxNorm ?? double.PositiveInfinity;
        double norm = stab.nn.utils.clip_grad_norm_(model.parameters(), bound);
        precision.Scaler.step(optimizer);
        precision.Scaler.update();
        double bits = loss.ToDouble() / Math.Log(2);
        history.Steps.Add(new Step(history.Steps.Count + 1, bits, norm, norm > bound));
        // A scaled gradient that overflows is left out by the scaler and says nothing about the model.
        if (!double.IsFinite(bits) || !(double.IsFinite(norm) || precision.Scaler.is_enabled())) history.ExplodedAt = history.Steps.Count;
        Release(state);
        return (h.detach().DetachFromDisposeScope(), c.detach().DetachFromDisposeScope());
    }

    private static (Tensor loss, State state) Forward(CharModel model, MixedPrecision precision, Tensor input, Tensor target, State? state)
    {
        using var region = precision.Autocast();
        var (logits, next) = model.call(input, state);
        return (nn.functional.cross_entropy(logits.view(-1, logits.shape[2]), target.reshape(-1)), next);
    }

    private void Finish(History history, CharModel model)
    {
        if (history.Steps.Count == 0 || history.ExplodedAt is not null || stop.IsCancellationRequested) return;
        model.eval();
        using var _ = no_grad();
        history.ValidationBits = Validate(model);
        history.Sample = new Writer(model, novel.Alphabet, _device).Write("Call me Ishmael. ", settings.SampleLength, (ulong)settings.Seed);
    }

    private double Validate(CharModel model)
    {
        using var scope = NewDisposeScope();
        State? state = null;
        var losses = new List<double>();
        foreach (var (input, target, _) in novel.Validation(settings.Batch, settings.Length).TakeWhile(_ => !stop.IsCancellationRequested))
        {
            var (logits, next) = model.call(input, state);
            losses.Add(nn.functional.cross_entropy(logits.view(-1, logits.shape[2]), target.reshape(-1)).ToDouble());
            state = next;
        }
        return stop.IsCancellationRequested ? double.NaN : losses.Average() / Math.Log(2);
    }

    private static void Release(State? state)
    {
        state?.h.Dispose();
        state?.c.Dispose();
    }

    private void Show(History history)
    {
        var last = history.Steps[^1];
        int every = Math.Max(1, settings.Steps / Milestones);
        var recent = history.Steps.TakeLast(every).ToArray();
        string[] cells =
        [
            $"{last.Number}/{settings.Steps}", Format(recent.Average(s => s.Bits), "0.00"), Format(recent.Max(s => s.GradNorm), "0.0e+0"),
            history.Model.MaxNorm is null ? "-" : Format(recent.Average(s => s.Clipped ? 1 : 0), "0 %"),
        ];
        bool milestone = last.Number % every == 0 || last.Number == settings.Steps || history.ExplodedAt is not null;
        view.Update(new ProgressRow(history.Model.Name, history.ExplodedAt is null ? (double)last.Number / settings.Steps : 1, cells), milestone);
    }

    private static string Format(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}

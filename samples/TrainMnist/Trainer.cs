using System.Globalization;
using TorchSharp;
using TorchStab;
using TorchStab.Modules;
using TorchStab.Samples;
using static TorchSharp.torch;
using Optimizer = TorchSharp.torch.optim.Optimizer;

namespace TrainMnist;

/// <summary>Trains one network and keeps what each epoch showed. Ctrl-C closes the current epoch early.</summary>
internal sealed class Trainer(Mnist train, Mnist test, TrainingSettings settings, ProgressView view, CancellationToken stop)
{
    /// <summary>Gradient norms are looked at every tenth step: often enough for a mean, too seldom to cost time.</summary>
    private const int ProbeEvery = 10;
    private const int TestBatch = 1000;
    private const int LsuvBatch = 500;
    private readonly Device _device = Devices.Open(settings.Device);

    public static string[] Columns { get; } = ["epoch", "loss", "accuracy", "gradient norm", "clipped"];

    private int StepsPerEpoch => (int)(train.Count / settings.Batch);

    public History Train(NetworkSettings networkSettings)
    {
        var history = new History(networkSettings);
        // Every network starts from the same stream and sees the same batches.
        manual_seed(settings.Seed);
        using var network = new DeepNetwork(networkSettings);
        network.to(_device);
        if (networkSettings.Init == Init.LSUV) FitToData(network);
        using var optimizer = Optimizers.Create(networkSettings, settings, network);
        var precision = new MixedPrecision(settings.Precision, _device);
        using var order = new Generator((ulong)settings.Seed, CPU);
        try
        {
            for (int epoch = 1; epoch <= settings.Epochs && history.Diverged is null && !stop.IsCancellationRequested; epoch++)
                RunEpoch(epoch, network, optimizer, precision, order, history);
        }
        // TorchStab's optimizers skip a step whose gradients are not finite; too many in a row are an error, which says where they began.
        catch (InvalidOperationException e) when (optimizer is ClippingAwareOptimizer { LastStep.Skipped: true })
        {
            history.Diverged = e.Message;
        }
        return history;
    }

    private void FitToData(DeepNetwork network)
    {
        using var scope = NewDisposeScope();
        var (images, _) = train.Batch(arange(Math.Min(LsuvBatch, train.Count), device: _device));
        stab.nn.init.lsuv_(network, images);
    }

    private void RunEpoch(int number, DeepNetwork network, Optimizer optimizer, MixedPrecision precision, Generator order, History history)
    {
        using var scope = NewDisposeScope();
        var tally = new EpochTally(number);
        var shuffled = randperm(train.Count, generator: order).to(_device);
        network.train();
        for (int step = 0; step < StepsPerEpoch && !stop.IsCancellationRequested; step++)
        {
            Step(network, optimizer, precision, shuffled.narrow(0, (long)step * settings.Batch, settings.Batch), tally, probe: step % ProbeEvery == 0);
            tally.Clipped(Optimizers.Clipped(history.Network, optimizer));
            Show(history, tally.Close(double.NaN), (step + 1.0) / StepsPerEpoch, epochEnds: false);
        }
        if (tally.Steps == 0) return;
        history.Epochs.Add(tally.Close(Accuracy(network)));
        Show(history, history.Epochs[^1], 1, epochEnds: true);
        if (!double.IsFinite(history.Epochs[^1].Loss)) history.Diverged = $"the loss of epoch {number} is not finite";
    }

    private void Step(DeepNetwork network, Optimizer optimizer, MixedPrecision precision, Tensor indices, EpochTally tally, bool probe)
    {
        using var scope = NewDisposeScope();
        var (images, labels) = train.Batch(indices);
        optimizer.zero_grad();
        Tensor loss;
        using (precision.Autocast()) loss = nn.functional.cross_entropy(network.call(images), labels);
        precision.Scaler.scale(loss).backward();
        if (probe)
        {
            precision.Scaler.unscale_(optimizer);
            tally.Add(GradientNorms.Of(network));
        }
        precision.Scaler.step(optimizer);
        precision.Scaler.update();
        tally.Add(loss.ToDouble());
    }

    private double Accuracy(DeepNetwork network)
    {
        network.eval();
        using var _ = no_grad();
        long right = 0;
        for (long start = 0; start < test.Count; start += TestBatch)
        {
            using var scope = NewDisposeScope();
            var (images, labels) = test.Batch(arange(start, Math.Min(start + TestBatch, test.Count), device: _device));
            right += network.call(images).argmax(1).eq(labels).sum().ToInt64();
        }
        return (double)right / test.Count;
    }

    private void Show(History history, Epoch epoch, double epochDone, bool epochEnds)
    {
        double accuracy = epochEnds ? epoch.Accuracy : history.Epochs.LastOrDefault()?.Accuracy ?? double.NaN;
        string[] cells =
        [
            $"{epoch.Number}/{settings.Epochs}", Format(epoch.Loss, "0.0000"), Format(accuracy, "0.0 %", unknown: "-"),
            Format(epoch.Gradients.Total, "0.0e+0"), Format(epoch.ClippedShare ?? double.NaN, "0 %", unknown: "-"),
        ];
        view.Update(new ProgressRow(history.Network.Name, (epoch.Number - 1 + epochDone) / settings.Epochs, cells), epochEnds);
    }

    private static string Format(double value, string format, string unknown = "NaN") => double.IsNaN(value) ? unknown
        : value.ToString(format, CultureInfo.InvariantCulture);
}

using System.Diagnostics;
using TorchSharp;
using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;
using Adam = TorchStab.Modules.Adam;

namespace DataParallel;

/// <summary>One run over the batches of a sampler; the same code for one process and for a rank of several.</summary>
internal sealed class Training(Mnist data, Settings settings, DistributedSampler sampler, int batch)
{
    private const int SaveEvery = 5, Width = 100;
    private readonly List<double> _milliseconds = [];

    /// <summary>Median of a step, without the first.</summary>
    public double Milliseconds => _milliseconds.Count < 2 ? double.NaN : _milliseconds.Skip(1).Order().ElementAt((_milliseconds.Count - 1) / 2);

    /// <summary>TrainMnist's network: ten sigmoid layers with batch normalization.</summary>
    public static Perceptron NewNetwork(Settings settings)
    {
        manual_seed(settings.Seed);
        var network = new Perceptron(new PerceptronShape(Depth: 10, Width), () => nn.Sigmoid(), () => stab.nn.BatchNorm1d(Width));
        stab.nn.init.initialize_(network);
        // In float64 what differs between two runs is what is wrong, not rounding that Adam has blown up.
        network.to(ScalarType.Float64);
        return network;
    }

    public static Adam NewOptimizer(nn.Module network, Settings settings) =>
        stab.optim.Adam(network.named_parameters(), settings.LearningRate, global_clipnorm: 1);

    /// <summary>Trains from a step on; returns the last loss of this part of the batch.</summary>
    /// <param name="model">What to train.</param>
    /// <param name="optimizer">Its optimizer.</param>
    /// <param name="from">How many steps are done already.</param>
    /// <param name="show">Gets the number of steps done and the loss after each; null: nobody looks.</param>
    /// <param name="save">Called every few steps with the number of steps done; null: nothing is saved.</param>
    public double Run(nn.Module<Tensor, Tensor> model, Adam optimizer, int from, Action<int, double>? show, Action<int>? save = null)
    {
        double loss = double.NaN;
        foreach (var (step, indices) in Batches().Index().Take(settings.Steps).Skip(from))
        {
            var watch = Stopwatch.StartNew();
            loss = Step(model, optimizer, indices);
            _milliseconds.Add(watch.Elapsed.TotalMilliseconds);
            show?.Invoke(step + 1, loss);
            if ((step + 1) % SaveEvery == 0) save?.Invoke(step + 1);
        }
        return loss;
    }

    private IEnumerable<long[]> Batches()
    {
        for (int epoch = 0; ; epoch++)
        {
            sampler.set_epoch(epoch);
            foreach (long[] indices in sampler.batches(batch)) yield return indices;
        }
    }

    private double Step(nn.Module<Tensor, Tensor> model, Adam optimizer, long[] indices)
    {
        using var scope = NewDisposeScope();
        var (images, labels) = data.Batch(tensor(indices));
        optimizer.zero_grad();
        var loss = nn.functional.cross_entropy(model.call(images.to(ScalarType.Float64)), labels);
        loss.backward();
        optimizer.step();
        return loss.ToDouble();
    }
}

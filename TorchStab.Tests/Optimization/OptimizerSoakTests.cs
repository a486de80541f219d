using TorchStab.Samples;
using TorchStab.Tests.Support;
using TrainMnist;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace TorchStab.Tests.Optimization;

/// <summary>
/// Training of TrainMnist's deep network on MNIST goes on under random NaN, infinities and huge gradients, and keeps nothing: no tensor, and in
/// the full soak's second half no memory.
/// </summary>
public sealed class OptimizerSoakTests(ITestOutputHelper output) : IDisposable
{
    private const int Batch = 100;
    private static readonly int Steps = Soak.Steps(inShort: 200);

    private readonly Mnist _digits = Mnist.Train(Mnist.OwnFolder, CPU);
    private readonly DeepNetwork _network = Network();

    public void Dispose()
    {
        _network.Dispose();
        _digits.Dispose();
    }

    [Fact]
    public void Training_survives_what_is_injected_and_counts_it()
    {
        using var optimizer = stab.optim.Adam(_network.named_parameters(), 1e-3, global_clipnorm: 1);
        var parameters = _network.parameters().ToList();
        var random = new Random(7);
        var (first, last, injected, huge, live, memory) = (0.0, 0.0, 0, 0, 0L, 0L);
        for (int step = 0; step < Steps; step++)
        {
            int dice = random.Next(12);
            double loss = Step(dice);
            (first, last) = (first + (step < 20 ? loss / 20 : 0), last + (step >= Steps - 20 ? loss / 20 : 0));
            (injected, huge) = (injected + (dice < 3 ? 1 : 0), huge + (dice == 3 ? 1 : 0));
            Assert.Equal(dice < 3, optimizer.LastStep.Skipped);
            if (dice == 3) Assert.True(optimizer.LastStep is { Clipped: true, GradNorm: > 9e29 });
            if (step == Steps / 2) memory = Soak.ResidentBytes();
            if (step == 20) live = Tensor.TotalCount;
            else if (step > 20) Assert.True(Tensor.TotalCount <= live, $"{Tensor.TotalCount - live} tensors more after step {step}");
        }
        long growth = Soak.ResidentBytes() - memory;
        output.WriteLine($"{Steps} steps: resident memory grew by {growth >> 10} kB in the second half");
        Assert.True(!Soak.IsFull || growth < 10 << 20, $"grew by {growth >> 10} kB from step {Steps / 2} on");
        Assert.Equal(Steps, optimizer.Counters.Steps);
        Assert.Equal(injected, optimizer.Counters.Skipped);
        Assert.True(optimizer.Counters.Clipped >= huge);
        Assert.True(last < 0.5 * first, $"loss {first:f3} → {last:f3}");
        using var end = NewDisposeScope();
        Assert.All(parameters, p => Assert.True(p.isfinite().all().item<bool>()));
        Assert.All(optimizer.state_dict().State.Cast<TorchStab.Modules.Adam.State>(),
            s => Assert.True(s.exp_avg.isfinite().all().item<bool>() && s.exp_avg_sq.isfinite().all().item<bool>()));

        double Step(int dice)
        {
            using var scope = NewDisposeScope();
            optimizer.zero_grad();
            double loss = Backward();
            var gradient = parameters[random.Next(parameters.Count)].grad!.view(-1);
            if (dice < 4) gradient[random.Next((int)gradient.numel())] =
                dice switch { 0 => float.NaN, 1 => float.PositiveInfinity, 2 => float.NegativeInfinity, _ => 1e30f };
            optimizer.step();
            return loss;
        }
    }

    // As TrainMnist makes it by default.
    private static DeepNetwork Network()
    {
        manual_seed(1);
        return new(new("soak", Activation.ReLU, Depth: 10, Width: 100, Norm.Batch, Init.He, ClipMode.Global, ClipThreshold: 1));
    }

    private double Backward()
    {
        var (images, labels) = _digits.Batch(randint(0, _digits.Count, [Batch]));
        var loss = nn.functional.cross_entropy(_network.call(images), labels);
        loss.backward();
        return loss.item<float>();
    }
}

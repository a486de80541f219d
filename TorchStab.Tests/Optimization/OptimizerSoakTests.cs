using static TorchSharp.torch;

namespace TorchStab.Tests.Optimization;

/// <summary>
/// Training of a deep network (ten hidden layers of 100) goes on under random NaN, infinities and huge gradients. 300 steps here;
/// the full soak with TORCHSTAB_SOAK_STEPS=5000.
/// </summary>
public class OptimizerSoakTests
{
    private static readonly int Steps = int.TryParse(Environment.GetEnvironmentVariable("TORCHSTAB_SOAK_STEPS"), out int n) ? n : 300;

    [Fact]
    public void Training_survives_what_is_injected_and_counts_it()
    {
        using var network = Network();
        using var optimizer = stab.optim.Adam(network.named_parameters(), 1e-3, global_clipnorm: 1);
        var parameters = network.parameters().ToList();
        var random = new Random(7);
        var (first, last, injected, huge, live) = (0.0, 0.0, 0, 0, 0L);
        for (int step = 0; step < Steps; step++)
        {
            int dice = random.Next(12);
            double loss = Step(dice, step);
            (first, last) = step < 20 ? (first + loss / 20, 0) : step >= Steps - 20 ? (first, last + loss / 20) : (first, last);
            (injected, huge) = (injected + (dice < 3 ? 1 : 0), huge + (dice == 3 ? 1 : 0));
            Assert.Equal(dice < 3, optimizer.LastStep.Skipped);
            if (dice == 3) Assert.True(optimizer.LastStep is { Clipped: true, GradNorm: > 9e29 });
            if (step == 20) live = Tensor.TotalCount;
            else if (step > 20) Assert.True(Tensor.TotalCount <= live, $"{Tensor.TotalCount - live} tensors more after step {step}");
        }
        Assert.Equal(Steps, optimizer.Counters.Steps);
        Assert.Equal(injected, optimizer.Counters.Skipped);
        Assert.True(optimizer.Counters.Clipped >= huge);
        Assert.True(last < 0.8 * first, $"loss {first:f3} → {last:f3}");
        using var end = NewDisposeScope();
        Assert.All(parameters, p => Assert.True(p.isfinite().all().item<bool>()));
        Assert.All(optimizer.state_dict().State.Cast<TorchStab.Modules.Adam.State>(), s => Assert.True(s.exp_avg.isfinite().all().item<bool>() && s.exp_avg_sq.isfinite().all().item<bool>()));

        double Step(int dice, int step)
        {
            using var scope = NewDisposeScope();
            optimizer.zero_grad();
            double loss = Backward(network, step);
            var gradient = parameters[random.Next(parameters.Count)].grad!.view(-1);
            if (dice < 4) gradient[random.Next((int)gradient.numel())] = dice switch { 0 => float.NaN, 1 => float.PositiveInfinity, 2 => float.NegativeInfinity, _ => 1e30f };
            optimizer.step();
            return loss;
        }
    }

    private static TorchSharp.Modules.Sequential Network()
    {
        manual_seed(1);
        var layers = new List<(string, nn.Module<Tensor, Tensor>)>();
        for (int i = 0; i < 10; i++) layers.AddRange([($"hidden{i}", nn.Linear(i == 0 ? 784 : 100, 100)), ($"norm{i}", nn.LayerNorm(100)), ($"act{i}", nn.ReLU())]);
        return nn.Sequential([.. layers, ("out", nn.Linear(100, 10))]);
    }

    // Ten noisy prototypes, one for each class.
    private static double Backward(nn.Module<Tensor, Tensor> network, int step)
    {
        using var scope = NewDisposeScope();
        manual_seed(5);
        var prototypes = randn(10, 784);
        manual_seed(step);
        var labels = randint(0, 10, [32]);
        var loss = nn.functional.cross_entropy(network.call(prototypes.index_select(0, labels) + 2 * randn(32, 784)), labels);
        loss.backward();
        return loss.item<float>();
    }
}

using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Tests.Diagnostics;

/// <summary>Networks with one disease each, and healthy ones; all classify a blob of ten inputs into three.</summary>
internal static class DiagnosticNets
{
    public const int Inputs = 20, Width = 32, Classes = 3, Rows = 64;

    /// <summary>Hidden layers of one kind, named linear1, norm1, activation1, …, output.</summary>
    public static Sequential Deep(Func<nn.Module<Tensor, Tensor>> activation, int depth, bool norm = false, Action<Linear>? init = null)
    {
        manual_seed(1);
        var modules = new List<(string, nn.Module<Tensor, Tensor>)>();
        for (int i = 1; i <= depth; i++)
        {
            modules.Add(($"linear{i}", Make(i == 1 ? Inputs : Width, Width, init)));
            if (norm) modules.Add(($"norm{i}", stab.nn.BatchNorm1d(Width)));
            modules.Add(($"activation{i}", activation()));
        }
        modules.Add(("output", Make(Width, Classes, init)));
        return nn.Sequential(modules);
    }

    /// <summary>The sample TrainMnist's network: ReLU and BatchNorm, He.</summary>
    public static Sequential Healthy() => Deep(() => nn.ReLU(), 10, norm: true, init: l => stab.nn.init.he_normal_(l.weight!, nonlinearity: Nonlinearity.ReLU));

    public static void Backward(nn.Module<Tensor, Tensor> net, int seed, Func<Tensor, Tensor>? distort = null)
    {
        using var scope = NewDisposeScope();
        var generator = new Generator((ulong)seed, CPU);
        var x = randn(Rows, Inputs, generator: generator);
        var labels = x.narrow(1, 0, Classes).argmax(1); // can be learned
        net.zero_grad();
        var loss = nn.functional.cross_entropy(net.call(x), labels);
        (distort?.Invoke(loss) ?? loss).backward();
    }

    /// <summary>Trains under both monitors, sampled at every step, and gives their diagnoses.</summary>
    public static (Diagnosis Gradients, Diagnosis Activations) Train(nn.Module<Tensor, Tensor> net, int steps = 10, double lr = 1e-3,
        Func<Tensor, Tensor>? distort = null)
    {
        using var gradients = new GradientMonitor(net, new() { Every = 1 });
        using var activations = new ActivationMonitor(net, new() { Every = 1 });
        using var optimizer = optim.Adam(net.parameters(), lr);
        for (int i = 0; i < steps; i++)
        {
            Backward(net, i, distort);
            gradients.Step(optimizer);
        }
        return (gradients.Judge(), activations.Judge());
    }

    private static Linear Make(int inputs, int outputs, Action<Linear>? init)
    {
        var linear = nn.Linear(inputs, outputs);
        init?.Invoke(linear);
        return linear;
    }
}

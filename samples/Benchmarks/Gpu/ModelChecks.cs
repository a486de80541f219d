using TorchSharp;
using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Gpu;

/// <summary>What works on whole models: initialization, monitors, folding, derivatives of derivatives, tensors where the default device is another.</summary>
internal static class ModelChecks
{
    public static IEnumerable<GpuCheck> All(Device device) =>
    [
        new("initialize_ and a training step with both monitors", () => Train(device)),
        new("fuse_norms of a residual block", () => Fold(device)),
        new("gradient penalty through BatchNorm2d and LayerNorm", () => Penalty(device)),
        new("LayerNormLSTM", () => Recurrent(device)),
        new("masked BatchNorm1d", () => Masked(device)),
        new($"a CPU tensor while the default device is {device}", () => BesideDefault(device)),
    ];

    private static string Train(Device device)
    {
        using var model = nn.Sequential(("linear", nn.Linear(8, 16)), ("norm", stab.nn.BatchNorm1d(16)), ("relu", nn.ReLU()), ("last", nn.Linear(16, 1)));
        model.to(device);
        stab.nn.init.initialize_(model);
        using var gradients = new GradientMonitor(model, new() { Every = 1 });
        using var activations = new ActivationMonitor(model, new() { Every = 1 });
        using var optimizer = stab.optim.AdamW(model.named_parameters(), 0.05, global_clipnorm: 1);
        Tensor x = randn(64, 8).to(device), target = x.sum(1, keepdim: true);
        double first = 0, last = 0;
        for (int step = 0; step < 40; step++)
        {
            optimizer.zero_grad();
            var loss = nn.functional.mse_loss(model.call(x), target);
            loss.backward();
            gradients.Step(optimizer);
            last = loss.item<float>();
            if (step == 0) first = last;
        }
        return last < first / 2 ? "" : FormattableString.Invariant($"the loss went from {first:0.000} to {last:0.000} only; ");
    }

    private static string Fold(Device device)
    {
        using var model = new Residual();
        model.to(device);
        var x = randn(2, 4, 6, 6).to(device);
        for (int i = 0; i < 3; i++) model.call(randn(8, 4, 6, 6).to(device));
        model.eval();
        var expected = model.call(x);
        stab.nn.utils.fuse_norms(model, x);
        return GpuCheck.Difference("the folded model's output", expected, model.call(x), 1e-4);
    }

    private static string Penalty(Device device)
    {
        using var norm = stab.nn.BatchNorm2d(3);
        using var rows = stab.nn.LayerNorm(5);
        var x = randn(4, 3, 5, 5);
        var (expected, actual) = (SecondDerivative(x.to(ScalarType.Float64)), SecondDerivative(x.to(device)));
        return GpuCheck.Difference("the second derivative", expected, actual, 1e-3);

        Tensor SecondDerivative(Tensor input)
        {
            norm.to(input.dtype).to(input.device);
            rows.to(input.dtype).to(input.device);
            input.requires_grad_();
            var first = autograd.grad([rows.call(norm.call(input)).pow(3).sum()], [input], retain_graph: true, create_graph: true)[0];
            first.square().sum().backward();
            return input.grad!;
        }
    }

    private static string Recurrent(Device device)
    {
        using var lstm = stab.nn.LayerNormLSTM(6, 8);
        var x = randn(7, 3, 6);
        var expected = lstm.forward(x).output;
        lstm.to(device);
        return GpuCheck.Difference("the output", expected, lstm.forward(x.to(device)).output, 1e-4);
    }

    private static string Masked(Device device)
    {
        using var norm = stab.nn.BatchNorm1d(4);
        Tensor x = randn(6, 4, 9), mask = rand(6, 1, 9).gt(0.3);
        var expected = norm.forward(x, mask);
        norm.to(device);
        return GpuCheck.Difference("the output", expected, norm.forward(x.to(device), mask.to(device)), 1e-4);
    }

    private static string BesideDefault(Device device)
    {
        using nn.Module<Tensor, Tensor> ours = stab.nn.InstanceNorm1d(4, track_running_stats: true, device: CPU),
            theirs = nn.InstanceNorm1d(4, track_running_stats: true);
        var x = randn(3, 4, 9, requires_grad: true);
        var expected = theirs.call(x);
        var before = get_default_device();
        set_default_device(device);
        try
        {
            var y = ours.call(x);
            y.backward([x.detach()]);
            return GpuCheck.Difference("the output", expected, y, 1e-5);
        }
        finally
        {
            set_default_device(before);
        }
    }

    private sealed class Residual : nn.Module<Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> _convolution = nn.Conv2d(4, 4, 3, padding: 1), _norm = stab.nn.BatchNorm2d(4);

        public Residual() : base(nameof(Residual))
        {
            register_module("convolution", _convolution);
            register_module("norm", _norm);
        }

        public override Tensor forward(Tensor input) => input + _norm.call(_convolution.call(input));
    }
}

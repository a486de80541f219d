using TorchSharp.Modules;
using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Gpu;

/// <summary>Every optimizer on a device against the same on the CPU in float64, and what it does with gradients that are not finite.</summary>
internal static class StepChecks
{
    private const int Steps = 5;
    private const double Tolerance = 1e-5;

    private static readonly (string Name, Func<IEnumerable<(string, Parameter)>, ClippingAwareOptimizer> Make)[] Optimizers =
    [
        ("Adam", p => stab.optim.Adam(p, 0.01, weight_decay: 0.1, amsgrad: true, global_clipnorm: 0.5)),
        ("AdamW", p => stab.optim.AdamW(p, 0.01, global_clipnorm: 0.5)),
        ("SGD", p => stab.optim.SGD(p, 0.01, 0.9, nesterov: true, clipnorm: 0.5)),
        ("RMSprop", p => stab.optim.RMSprop(p, 0.01, momentum: 0.9, centered: true, clipvalue: 0.1)),
    ];

    public static IEnumerable<GpuCheck> All(Device device)
    {
        foreach (var (name, make) in Optimizers)
        {
            yield return new($"{name}, {Steps} clipped steps", () => Compare(make, device));
            foreach (double value in new[] { double.NaN, double.PositiveInfinity })
                yield return new($"{name}, a gradient of {value}", () => Skips(make, device, value));
        }
        yield return new("clip_grad_norm_", () => ClipGradNorm(device));
    }

    private static string Compare(Func<IEnumerable<(string, Parameter)>, ClippingAwareOptimizer> make, Device device)
    {
        var (exact, here) = (Parameters(CPU, ScalarType.Float64), Parameters(device, ScalarType.Float32));
        using ClippingAwareOptimizer reference = make(exact), optimizer = make(here);
        for (int step = 0; step < Steps; step++)
        {
            Give(exact, step);
            Give(here, step);
            reference.step();
            optimizer.step();
        }
        double norms = Math.Abs(reference.LastStep.GradNorm / optimizer.LastStep.GradNorm - 1);
        return string.Concat(exact.Zip(here, (a, b) => GpuCheck.Difference(a.Item1, a.Item2, b.Item2, Tolerance)))
            + (norms <= Tolerance ? "" : $"GradNorm is {optimizer.LastStep.GradNorm}, expected {reference.LastStep.GradNorm}; ");
    }

    private static string Skips(Func<IEnumerable<(string, Parameter)>, ClippingAwareOptimizer> make, Device device, double value)
    {
        var parameters = Parameters(device, ScalarType.Float32);
        using var optimizer = make(parameters);
        Give(parameters, 0);
        optimizer.step();
        Tensor[] before = [.. parameters.Select(p => p.Item2.detach().clone())];
        Give(parameters, 1);
        using (no_grad()) parameters[1].Item2.grad!.view(-1)[3] = value;
        optimizer.step();
        string wrong = string.Concat(parameters.Zip(before,
            (p, old) => GpuCheck.Difference($"{p.Item1}, which a skipped step leaves alone,", old, p.Item2, 0)));
        return optimizer.LastStep.Skipped ? wrong : "the step was not skipped; ";
    }

    private static string ClipGradNorm(Device device)
    {
        var (exact, here) = (Parameters(CPU, ScalarType.Float64), Parameters(device, ScalarType.Float32));
        Give(exact, 0);
        Give(here, 0);
        stab.nn.utils.clip_grad_norm_(exact.Select(p => p.Item2), 0.5);
        stab.nn.utils.clip_grad_norm_(here.Select(p => p.Item2), 0.5);
        return string.Concat(exact.Zip(here, (a, b) => GpuCheck.Difference($"{a.Item1}'s gradient", a.Item2.grad!, b.Item2.grad!, Tolerance)));
    }

    private static List<(string, Parameter)> Parameters(Device device, ScalarType dtype) =>
        [.. Shapes.Select((shape, i) => ($"parameter {i}", new Parameter(Values(shape, i).to(dtype).to(device))))];

    private static long[][] Shapes => [[16, 8], [8], [4, 3, 3, 3], [1]];

    private static void Give(List<(string, Parameter)> parameters, int step)
    {
        for (int i = 0; i < parameters.Count; i++)
        {
            var p = parameters[i].Item2;
            p.grad = Values(p.shape, 10 + i + (7 * step)).to(p.dtype).to(p.device);
        }
    }

    // Float32 values, so that both sides have the same.
    private static Tensor Values(long[] shape, int seed) =>
        (arange(shape.Aggregate((a, b) => a * b), ScalarType.Float32, CPU) * (0.7f + seed)).sin().reshape(shape);
}

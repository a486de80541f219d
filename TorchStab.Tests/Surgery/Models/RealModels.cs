using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Surgery.Models;

/// <summary>The four models by name, small, with inputs that fit.</summary>
internal static class RealModels
{
    public static readonly Dictionary<string, (Func<nn.Module<Tensor, Tensor>> make, Func<ScalarType, Tensor> input, int norms)> All = new()
    {
        ["ResNet-18"] = (() => new ResNet18(width: 4), t => randn(8, 3, 64, 64, dtype: t), 20),
        ["MobileNetV2"] = (() => new MobileNetV2(width: 0.25), t => randn(8, 3, 32, 32, dtype: t), 52),
        ["GPT"] = (() => new Gpt(50, 16, 32, 3, 4), _ => randint(0, 50, [4, 12]), 7),
        ["U-Net"] = (() => new UNet(2, 3, 4), t => randn(2, 2, 24, 24, dtype: t), 17),
    };

    public static TheoryData<string> Names => [.. All.Keys];

    /// <summary>Two models with the same weights, statistics and dtype.</summary>
    public static (nn.Module<Tensor, Tensor> first, nn.Module<Tensor, Tensor> second) Pair(string name, ScalarType dtype)
    {
        manual_seed(11);
        set_default_dtype(dtype); // not to(dtype): TorchSharp's ModuleDict fails in it
        var (first, second) = (All[name].make(), All[name].make());
        set_default_dtype(ScalarType.Float32);
        Randomize(first);
        second.load_state_dict(first.state_dict());
        return (first, second);
    }

    public static IEnumerable<nn.Module> Norms(nn.Module model, string library) =>
        model.modules().Where(m => m.GetType().Namespace == library + ".Modules" && m.GetType().Name.Contains("Norm", StringComparison.Ordinal));

    // Weights of norms start at 1 and 0, which would hide an exchange of one for another.
    private static void Randomize(nn.Module model)
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        foreach (var norm in Norms(model, "TorchSharp"))
            foreach (var (name, tensor) in norm.state_dict())
                if (name != "num_batches_tracked") tensor.copy_(name is "running_mean" or "bias" ? randn_like(tensor) * 0.1 : rand_like(tensor) + 0.5);
    }

    /// <summary>One forward and backward pass with a random upstream gradient, drawn once and used by all; dropout draws the same.</summary>
    public static Tensor Backward(nn.Module<Tensor, Tensor> model, Tensor input, ref Tensor? upstream)
    {
        model.zero_grad();
        manual_seed(5);
        var output = model.call(input);
        upstream ??= randn_like(output) / output.numel();
        (output * upstream.to(output.dtype)).sum().backward();
        return output;
    }

    public static void CopyState(nn.Module from, nn.Module to)
    {
        using var _ = no_grad();
        var source = from.state_dict();
        foreach (var (name, tensor) in to.state_dict()) tensor.copy_(source[name]);
    }

    /// <summary>‖g − h‖ / ‖h‖ over the gradients of all parameters.</summary>
    public static double GradientDistance(nn.Module g, nn.Module h)
    {
        using var scope = NewDisposeScope();
        double difference = 0, norm = 0;
        foreach (var (one, other) in g.parameters().Zip(h.parameters()))
        {
            var (a, b) = (one.grad!.to(ScalarType.Float64), other.grad!.to(ScalarType.Float64));
            difference += (a - b).square().sum().item<double>();
            norm += b.square().sum().item<double>();
        }
        return Math.Sqrt(difference / norm);
    }

    /// <summary>Asserts that two models have the same parameters, gradients and buffers, each relative to its largest value.</summary>
    public static void Same(nn.Module expected, nn.Module actual, double tolerance, string what)
    {
        var (e, a) = (expected.state_dict(), actual.state_dict());
        Assert.Equal(e.Keys, a.Keys);
        foreach (string key in e.Keys) Relative(e[key], a[key], tolerance, $"{what}: {key}");
        var gradients = expected.named_parameters().Zip(actual.named_parameters(), (x, y) => (x.name, x.parameter.grad, y.parameter.grad)).ToList();
        // A bias before a normalization has a gradient of zero but for rounding: relative to itself that says nothing.
        double floor = 1e-3 * gradients.Max(g => Magnitude(g.Item2));
        foreach (var (name, g, h) in gradients)
        {
            Relative(g, h, tolerance, $"{what}: gradient of {name}", floor);
            g?.Dispose();
            h?.Dispose();
        }
    }

    private static double Magnitude(Tensor? t)
    {
        using var scope = NewDisposeScope();
        return t is null ? 0 : t.detach().abs().max().to(ScalarType.Float64).item<double>();
    }

    public static void Relative(Tensor? expected, Tensor? actual, double tolerance, string what, double floor = 1e-6)
    {
        if (expected is null || actual is null || expected.dtype == ScalarType.Int64)
        {
            Compare.Close(expected, actual, what, tolerance);
            return;
        }
        using var scope = NewDisposeScope();
        double scale = Math.Max(floor, Magnitude(expected));
        Compare.Close(expected.detach() / scale, actual.detach() / scale, what, tolerance);
    }
}

using TorchSharp;
using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Gpu;

/// <summary>Every norm in every dtype and layout: output, gradients and running statistics against the same values in float64 on the CPU.</summary>
internal static class NormChecks
{
    private static readonly (string Name, Func<nn.Module<Tensor, Tensor>> Make)[] OfImages =
    [
        ("BatchNorm2d", () => stab.nn.BatchNorm2d(6)), ("BatchNorm2d, cumulative", () => stab.nn.BatchNorm2d(6, momentum: null)),
        ("BatchNormReLU2d", () => stab.nn.BatchNormReLU2d(6)),
        ("BatchRenorm2d", () => stab.nn.BatchRenorm2d(6)), ("GroupNorm", () => stab.nn.GroupNorm(3, 6)), ("LayerNorm2d", () => stab.nn.LayerNorm2d(6)),
        ("InstanceNorm2d", () => stab.nn.InstanceNorm2d(6, affine: true, track_running_stats: true)),
    ];

    private static readonly (string Name, Func<nn.Module<Tensor, Tensor>> Make)[] OfRows =
        [("LayerNorm", () => stab.nn.LayerNorm(24)), ("RMSNorm", () => stab.nn.RMSNorm(24, eps: 1e-5)), ("BatchNorm1d", () => stab.nn.BatchNorm1d(24))];

    public static IEnumerable<GpuCheck> All(Device device, bool quick)
    {
        foreach (var dtype in new[] { ScalarType.Float32, ScalarType.BFloat16, ScalarType.Float16 })
        {
            foreach (bool train in quick ? new[] { true } : [true, false])
            {
                foreach (var (name, make) in OfRows) yield return Check(name, make, [40, 24], dtype, device, train, channelsLast: false);
                foreach (bool last in new[] { false, true })
                    foreach (var (name, make) in OfImages) yield return Check(name, make, [5, 6, 7, 8], dtype, device, train, last);
            }
            if (quick) yield break;
        }
    }

    private static GpuCheck Check(string name, Func<nn.Module<Tensor, Tensor>> make, long[] shape, ScalarType dtype, Device device, bool train,
        bool channelsLast) =>
        new($"{name}, {dtype}, {(channelsLast ? "channels_last" : "contiguous")}, {(train ? "training" : "eval")}",
            () => Compare(make, shape, dtype, device, train, channelsLast));

    private static string Compare(Func<nn.Module<Tensor, Tensor>> make, long[] shape, ScalarType dtype, Device device, bool train, bool channelsLast)
    {
        using nn.Module<Tensor, Tensor> exact = make(), norm = make();
        using (no_grad())
            foreach (var p in exact.parameters()) p.copy_((rand(p.shape) + 0.5).to(dtype));
        norm.load_state_dict(exact.state_dict());
        exact.to(ScalarType.Float64);
        norm.to(dtype);
        norm.to(device);
        exact.train(train);
        norm.train(train);
        Tensor x = (randn(shape) + 0.5).to(dtype), upstream = randn(shape).to(dtype);
        var expected = Results(exact, x.to(ScalarType.Float64), upstream.to(ScalarType.Float64));
        var actual = Results(norm, Laid(x, channelsLast).to(device), Laid(upstream, channelsLast).to(device));
        return string.Concat(expected.Zip(actual, (a, b) => GpuCheck.Difference(a.What, a.Value, b.Value, Tolerance(dtype))));
    }

    // Results agree before the last rounding, and sums of a few hundred rounded values follow.
    private static double Tolerance(ScalarType dtype) => dtype switch { ScalarType.Float32 => 1e-4, ScalarType.Float16 => 1.0 / 128, _ => 1.0 / 32 };

    private static Tensor Laid(Tensor t, bool channelsLast) => channelsLast ? t.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2) : t;

    private static List<(string What, Tensor Value)> Results(nn.Module<Tensor, Tensor> norm, Tensor x, Tensor upstream)
    {
        x.requires_grad_();
        var y = norm.call(x);
        y.backward([upstream]);
        List<(string, Tensor)> results = [("the output", y), ("the input's gradient", x.grad!)];
        results.AddRange(norm.named_parameters().Select(p => ($"{p.name}'s gradient", p.parameter.grad!)));
        results.AddRange(norm.named_buffers().Select(b => (b.name, b.buffer)));
        return results;
    }
}

using System.Diagnostics;
using System.Globalization;
using Spectre.Console;
using TorchSharp;
using TorchStab.Benchmarks.Comparisons;
using TorchStab.Dispatch;
using TorchStab.Samples;
using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Gpu;

/// <summary>
/// Norms and an optimizer step on a device, TorchSharp's and TorchStab's in turn, each call synchronized: medians of milliseconds. <c>fused.py</c> beside this
/// file prints the same cases of PyTorch. On the CPU TorchStab's norms run as on devices.
/// </summary>
internal static class GpuTimeCommand
{
    private const int WarmUp = 10, Turns = 50;

    public static void Run(Device device, bool quick, CancellationToken token)
    {
        if (device.type == DeviceType.CPU) KernelSelection.Mode = KernelMode.Native;
        var table = new Table().Border(TableBorder.Markdown);
        foreach (string column in new[] { "case", "TorchSharp", "TorchStab", "ratio" }) table.AddColumn(new TableColumn(column).NoWrap());
        if (!Report.IsLive) AnsiConsole.Profile.Width = 240; // as for compare
        foreach (var sides in Cases(device, quick))
        {
            using var _ = sides;
            token.ThrowIfCancellationRequested();
            var (theirs, ours) = Medians(sides, device, quick ? 2 : Turns);
            table.AddRow(sides.Name, Text($"{theirs:0.000} ms"), Text($"{ours:0.000} ms"), Text($"{theirs / ours:0.00}"));
        }
        AnsiConsole.Write(table);
    }

    private static IEnumerable<Sides> Cases(Device device, bool quick)
    {
        long[] images = quick ? [4, 16, 14, 14] : [64, 256, 56, 56], rows = quick ? [64, 128] : [8192, 4096];
        long channels = images[1], columns = rows[1];
        foreach (var dtype in new[] { ScalarType.Float32, ScalarType.BFloat16 })
        {
            yield return Norm("BatchNorm2d", () => nn.BatchNorm2d(channels), () => stab.nn.BatchNorm2d(channels), images, dtype, device);
            yield return Norm("BatchNorm2d, channels_last", () => nn.BatchNorm2d(channels), () => stab.nn.BatchNorm2d(channels), images, dtype, device,
                channelsLast: true);
            yield return Norm("BatchNorm2d and ReLU", () => nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU()), () => stab.nn.BatchNormReLU2d(channels),
                images, dtype, device);
            yield return Norm("GroupNorm", () => nn.GroupNorm(8, channels), () => stab.nn.GroupNorm(8, channels), images, dtype, device);
            yield return Norm("LayerNorm", () => nn.LayerNorm(columns), () => stab.nn.LayerNorm(columns), rows, dtype, device);
        }
        yield return Step(quick ? ParameterLists.Same(20, 64) : ParameterLists.ResNet50(), device);
    }

    private static Sides Norm(string name, Func<nn.Module<Tensor, Tensor>> theirs, Func<nn.Module<Tensor, Tensor>> ours, long[] shape, ScalarType dtype,
        Device device, bool channelsLast = false)
    {
        nn.Module<Tensor, Tensor> libtorch = theirs(), own = ours();
        foreach (var module in new[] { libtorch, own })
        {
            module.to(dtype);
            module.to(device);
        }
        Tensor Draw() => (channelsLast ? randn(shape[0], shape[2], shape[3], shape[1]).permute(0, 3, 1, 2) : randn(shape)).to(dtype).to(device);
        var (x, upstream) = (Draw().requires_grad_(), Draw());
        return new($"{name} {string.Join('×', shape)} {dtype}, forward and backward", () => Train(libtorch), () => Train(own), [libtorch, own, x, upstream]);

        void Train(nn.Module<Tensor, Tensor> module)
        {
            using var y = module.call(x);
            y.backward([upstream]);
        }
    }

    private static Sides Step(List<long[]> shapes, Device device)
    {
        List<TorchSharp.Modules.Parameter> theirs = OnDevice(), ours = OnDevice();
        optim.Optimizer libtorch = optim.AdamW(theirs, 1e-3), own = stab.optim.AdamW(ours, 1e-3, global_clipnorm: 1);
        return new($"AdamW with global_clipnorm, {shapes.Count} parameters", () =>
        {
            nn.utils.clip_grad_norm_(theirs, 1);
            libtorch.step();
        }, () => own.step(), [libtorch, own, .. theirs, .. ours]);

        List<TorchSharp.Modules.Parameter> OnDevice() =>
            [.. shapes.Select(shape => new TorchSharp.Modules.Parameter(randn(shape).to(device)) { grad = randn(shape).to(device) })];
    }

    private static (double Theirs, double Ours) Medians(Sides sides, Device device, int turns)
    {
        List<double> theirs = [], ours = [];
        for (int i = -Math.Min(turns, WarmUp); i < turns; i++)
        {
            double a = Milliseconds(sides.Theirs, device), b = Milliseconds(sides.Ours, device);
            if (i < 0) continue;
            theirs.Add(a);
            ours.Add(b);
        }
        return (theirs.Order().ElementAt(turns / 2), ours.Order().ElementAt(turns / 2));
    }

    private static double Milliseconds(Action call, Device device)
    {
        using var scope = NewDisposeScope();
        Wait(device);
        long start = Stopwatch.GetTimestamp();
        call();
        Wait(device);
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }

    private static void Wait(Device device)
    {
        if (device.type == DeviceType.CUDA) cuda.synchronize();
        else if (device.type != DeviceType.CPU) zeros(1, device: device).cpu(); // a copy to the CPU waits for all before it
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private sealed record Sides(string Name, Action Theirs, Action Ours, IDisposable[] Owned) : IDisposable
    {
        public void Dispose()
        {
            foreach (var owned in Owned) owned.Dispose();
        }
    }
}

using TorchStab.Dispatch;
using TorchStab.Samples;
using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Gpu;

/// <summary>
/// Checks every norm and optimizer on a device against float64 on the CPU, and what goes wrong most easily there: non-finite gradients, monitors,
/// initialization, folding. On the CPU it checks the form that devices run: libtorch's fused operations.
/// </summary>
internal static class GpuCheckCommand
{
    /// <exception cref="SampleException">A check failed.</exception>
    public static void Run(Device device, bool quick, CancellationToken token)
    {
        int passed = 0, failed = 0;
        var mode = KernelSelection.Mode;
        Report.Line($"TorchStab on {device}, libtorch of TorchSharp {typeof(TorchSharp.torch).Assembly.GetName().Version}, fused operations "
            + $"{(StableLibrary.IsAvailable ? "found" : "not found")}");
        foreach (var check in NormChecks.All(device, quick).Concat(StepChecks.All(device)).Concat(ModelChecks.All(device)))
        {
            token.ThrowIfCancellationRequested();
            string verdict = Verdict(check, device);
            KernelSelection.Mode = mode;
            if (verdict.Length == 0) passed++;
            else failed++;
            if (verdict.Length > 0 || !quick) Report.Line($"{(verdict.Length == 0 ? "ok    " : "FAILED")} {check.Name}{verdict}");
        }
        Report.Line($"{passed} checks passed, {failed} failed");
        if (failed > 0) throw new SampleException($"{failed} checks failed on {device}.");
    }

    private static string Verdict(GpuCheck check, Device device)
    {
        using var scope = NewDisposeScope();
        if (device.type == TorchSharp.DeviceType.CPU) KernelSelection.Mode = KernelMode.Native;
        manual_seed(1);
        try
        {
            return check.Run() is { Length: > 0 } fault ? ": " + fault : "";
        }
        catch (Exception e)
        {
            return $": {e.GetType().Name}: {e.Message.Split('\n')[0]}";
        }
    }
}

/// <summary>One check.</summary>
/// <param name="Name">What is checked.</param>
/// <param name="Run">Returns what is wrong; an empty text: nothing. Tensors that it makes are disposed for it.</param>
internal sealed record GpuCheck(string Name, Func<string> Run)
{
    /// <summary>What differs by more than a share of the largest expected value; an empty text: nothing.</summary>
    public static string Difference(string what, Tensor expected, Tensor actual, double tolerance)
    {
        using var scope = NewDisposeScope();
        Tensor a = expected.detach().cpu().to(ScalarType.Float64), b = actual.detach().cpu().to(ScalarType.Float64);
        double scale = Math.Max(1, a.abs().max().item<double>()), worst = (a - b).abs().max().item<double>();
        return worst <= tolerance * scale ? "" : FormattableString.Invariant($"{what} is off by {worst / scale:0.0e+0}, at most {tolerance:0.0e+0} is right; ");
    }
}

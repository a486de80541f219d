using System.Runtime.InteropServices;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Benchmarks;

/// <summary>What a figure must be read with: the kind of processor, cores, threads, vector width, runtime, allocator.</summary>
internal static class Machine
{
    public static string Describe(bool tuned) =>
        $"{Processor()}, {Environment.ProcessorCount} cores, {get_num_threads()} threads, vectors {KernelSelection.Width}, " +
        $"team {ParallelTeam.Kind}, {RuntimeInformation.FrameworkDescription}, TorchSharp {typeof(TorchSharp.torch).Assembly.GetName().Version}, " +
        $"allocator {(tuned ? "tuned" : "default")}";

    private static string Processor()
    {
        string? model = File.Exists("/proc/cpuinfo")
            ? File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal)) : null;
        return model is null ? RuntimeInformation.ProcessArchitecture.ToString() : model[(model.IndexOf(':') + 1)..].Trim();
    }
}

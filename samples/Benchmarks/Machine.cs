using System.Runtime.InteropServices;
using TorchStab.Dispatch;
using TorchStab.Samples;
using static TorchSharp.torch;

namespace TorchStab.Benchmarks;

/// <summary>What a figure must be read with: the kind of processor, cores, threads, vector width, runtime, allocator.</summary>
internal static class Machine
{
    public static string Describe(bool tuned) =>
        $"{Processor.Name}, {Environment.ProcessorCount} cores, {get_num_threads()} threads, vectors {KernelSelection.Width}, " +
        $"team {ParallelTeam.Kind}, {RuntimeInformation.FrameworkDescription}, TorchSharp {typeof(TorchSharp.torch).Assembly.GetName().Version}, " +
        $"allocator {(tuned ? "tuned" : "default")}";
}

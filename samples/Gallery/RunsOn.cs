using System.Runtime.InteropServices;
using TorchStab;
using TorchStab.Samples;

namespace Gallery;

/// <summary>What figures must be read with: processor, threads, versions.</summary>
internal static class RunsOn
{
    public static string Describe() =>
        $"{Processor.Name}, {Environment.ProcessorCount} cores, threads used: {TorchSharp.torch.get_num_threads()}; {RuntimeInformation.OSDescription}; " +
        $"{RuntimeInformation.FrameworkDescription}; TorchSharp {Version(typeof(TorchSharp.torch))}; TorchStab {Version(typeof(stab))}";

    private static string Version(Type type) => type.Assembly.GetName().Version?.ToString(3) ?? "unknown";
}

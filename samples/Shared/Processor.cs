using System.Runtime.InteropServices;

namespace TorchStab.Samples;

/// <summary>The processor that figures were measured on.</summary>
public static class Processor
{
    /// <summary>Its model where the system tells it (Linux), else its architecture.</summary>
    public static string Name { get; } = Find();

    private static string Find()
    {
        string? model = File.Exists("/proc/cpuinfo")
            ? File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal)) : null;
        return model is null ? RuntimeInformation.ProcessArchitecture.ToString() : model[(model.IndexOf(':') + 1)..].Trim();
    }
}

using System.CommandLine;
using TorchSharp;
using static TorchSharp.torch;

namespace TorchStab.Samples;

/// <summary>What <c>--device</c> offers.</summary>
public enum DeviceKind
{
    Cpu,
    Cuda,
    Mps,
}

/// <summary>The device a sample computes on.</summary>
public static class Devices
{
    public static Option<Choice<DeviceKind>> Option() => SampleOptions.OneOf("--device", DeviceKind.Cpu, "Where to compute");

    /// <exception cref="SampleException">This machine or this build has no such device.</exception>
    public static Device Open(DeviceKind kind)
    {
        bool there = kind switch
        {
            DeviceKind.Cuda => cuda.is_available(),
            DeviceKind.Mps => mps_is_available(),
            _ => true,
        };
        string name = kind.ToString().ToLowerInvariant();
        if (!there) throw new SampleException($"--device {name}: not available here{Advice(kind)}; --device cpu always is.");
        return torch.device(name);
    }

    private static string Advice(DeviceKind kind) =>
        kind == DeviceKind.Cuda ? " (it needs an NVIDIA driver and a build with -p:TorchBackend=cuda-linux or cuda-windows)" : "";
}

namespace TorchStab.Benchmarks;

/// <summary>What the program is asked for.</summary>
internal enum BenchmarkTask
{
    Compare,
    Published,
    Averaging,
    GpuCheck,
    GpuTime,
}

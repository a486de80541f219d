using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>Compiler options of the kernels' loops.</summary>
internal static class Jit
{
    /// <summary>
    /// AggressiveOptimization compiles a loop optimized at its first call, because unoptimized generic code is 200 times slower. NoInlining keeps it a
    /// separate method: otherwise a recompiled caller may inline it, and there vectors were kept on the stack, which made the loop four times slower. Methods
    /// that call such loops for every item have these options too, because in a small tensor they take as much of the time.
    /// </summary>
    public const MethodImplOptions Loop = MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining;
}

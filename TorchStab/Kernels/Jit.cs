using System.Runtime.CompilerServices;

namespace TorchStab.Kernels;

/// <summary>How the loops of kernels are compiled.</summary>
internal static class Jit
{
    /// <summary>
    /// Optimized from the first call: unoptimized generics are 200 times slower. And a method of its own for good: AggressiveOptimization alone lets a
    /// caller that is compiled again take the loop in, where vectors were seen to go through the stack, at a quarter of the speed. Also for
    /// what calls such loops for every item: in a small tensor it is as large a part.
    /// </summary>
    public const MethodImplOptions Loop = MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining;
}

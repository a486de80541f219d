using System.Numerics;
using TorchStab.Kernels;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Kernels;

/// <summary>The update kernels of every width and storage against their scalar references, at every tail and at 0.</summary>
public abstract unsafe class OptimizerKernelTests : EveryWidthTests
{
    /// <summary>Runs one case; the seed chooses the options.</summary>
    internal abstract void Equal<V, T, E>(int n, Random random, double tolerance)
        where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where E : unmanaged;

    internal static GradientTransform Transform(Random random) => new()
    {
        Scale = (random.Next(2) * 2 - 1) * (0.1 + random.NextDouble()),
        Bound = random.Next(2) == 0 ? double.PositiveInfinity : 0.5,
        Decay = random.Next(2) * 0.1,
    };

    internal override void EveryStorage<VF, VD>()
    {
        foreach (int n in KernelInstances.Lengths.Prepend(0))
        {
            for (int seed = 0; seed < 8; seed++)
            {
                Equal<VD, double, double>(n, new Random(seed), Tolerance.Float64);
                Equal<VF, float, float>(n, new Random(seed), Tolerance.Float32);
                Equal<VF, float, BFloat16>(n, new Random(seed), Tolerance.BFloat16);
                Equal<VF, float, Half>(n, new Random(seed), Tolerance.Float16);
            }
        }
    }
}

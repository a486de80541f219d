using TorchStab.Kernels;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Kernels;

public unsafe class AdamKernelTests : OptimizerKernelTests
{
    internal override void Equal<V, T, E>(int n, Random random, double tolerance)
    {
        using NativeBuffer p = NativeBuffer.Of<E>(KernelValues.Normal(random, n)), g = NativeBuffer.Of<E>(KernelValues.Normal(random, n));
        using NativeBuffer m = NativeBuffer.Of<T>(KernelValues.Normal(random, n)), v = NativeBuffer.Of<T>(KernelValues.Positive(random, n)),
            max = NativeBuffer.Of<T>(KernelValues.Positive(random, n));
        bool amsgrad = random.Next(2) == 0;
        var streams = new StepStreams { Parameter = p.Pointer, Gradient = g.Pointer, State0 = m.Pointer, State1 = v.Pointer };
        if (amsgrad) streams.State2 = max.Pointer;
        var a = new AdamArguments
        {
            Gradient = Transform(random),
            Beta1 = 0.9,
            Beta2 = 0.99,
            Eps = 1e-8,
            StepSize = 0.05,
            Correction = 3,
            Decay = random.Next(2) == 0 ? 1 : 0.98,
        };
        var job = new StepJob { Streams = &streams, Arguments = &a };
        double[] ep = [.. p.Values], em = [.. m.Values], ev = [.. v.Values], emax = amsgrad ? [.. max.Values] : [];
        AdamKernel.Reference.Update(a, ep, g.Values, em, ev, emax);
        AdamKernel.Run<V, T, E>(&job, 0, n);
        KernelValues.Close(ep, p.ToArray(), tolerance, "p");
        KernelValues.Close(em, m.ToArray(), Math.Min(tolerance, Tolerance.Float32), "exp_avg");
        KernelValues.Close(ev, v.ToArray(), Math.Min(tolerance, Tolerance.Float32), "exp_avg_sq");
        KernelValues.Close(amsgrad ? emax : max.Values, max.ToArray(), Math.Min(tolerance, Tolerance.Float32), "max_exp_avg_sq");
        Assert.Equal(g.Values, g.ToArray());
        p.AssertBorders("p");
        m.AssertBorders("m");
        v.AssertBorders("v");
        max.AssertBorders("max");
    }
}

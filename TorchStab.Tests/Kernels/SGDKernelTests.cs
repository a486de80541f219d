using TorchStab.Kernels;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Kernels;

public unsafe class SGDKernelTests : OptimizerKernelTests
{
    internal override void Equal<V, T, E>(int n, Random random, double tolerance)
    {
        using NativeBuffer p = NativeBuffer.Of<E>(KernelValues.Normal(random, n)), g = NativeBuffer.Of<E>(KernelValues.Normal(random, n));
        using NativeBuffer buffer = NativeBuffer.Of<T>(KernelValues.Normal(random, n));
        bool momentum = random.Next(3) > 0;
        var streams = new StepStreams { Parameter = p.Pointer, Gradient = g.Pointer, State0 = momentum ? buffer.Pointer : null };
        var a = new SGDArguments
        {
            Gradient = Transform(random),
            LearningRate = 0.1,
            Momentum = 0.9,
            NewShare = 0.8,
            LookAhead = random.Next(2) * 0.9,
        };
        var job = new StepJob { Streams = &streams, Arguments = &a };
        double[] ep = [.. p.Values], eb = momentum ? [.. buffer.Values] : [];
        SGDKernel.Reference.Update(a, ep, g.Values, eb);
        SGDKernel.Run<V, T, E>(&job, 0, n);
        KernelValues.Close(ep, p.ToArray(), tolerance, "p");
        KernelValues.Close(momentum ? eb : buffer.Values, buffer.ToArray(), Math.Min(tolerance, Tolerance.Float32), "momentum_buffer");
        p.AssertBorders("p");
        buffer.AssertBorders("buffer");
    }
}

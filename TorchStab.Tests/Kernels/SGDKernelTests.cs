using TorchStab.Kernels;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Kernels;

public unsafe class SGDKernelTests : OptimizerKernelTests
{
    internal override void Equal<V, T, E>(int n, Random random, double tolerance)
    {
        using KernelData<T, E> p = new(KernelData.Normal(random, n)), g = new(KernelData.Normal(random, n));
        using KernelData<T, T> buffer = new(KernelData.Normal(random, n));
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
        KernelData.Close(ep, p.Read(), tolerance, "p");
        KernelData.Close(momentum ? eb : buffer.Values, buffer.Read(), Math.Min(tolerance, Tolerance.Float32), "momentum_buffer");
        p.AssertGuards();
        buffer.AssertGuards();
    }
}

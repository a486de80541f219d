using TorchStab.Kernels;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Kernels;

public unsafe class RMSpropKernelTests : OptimizerKernelTests
{
    internal override void Equal<V, T, E>(int n, Random random, double tolerance)
    {
        using NativeBuffer p = NativeBuffer.Of<E>(KernelValues.Normal(random, n)), g = NativeBuffer.Of<E>(KernelValues.Normal(random, n));
        using NativeBuffer squares = NativeBuffer.Of<T>([.. KernelValues.Positive(random, n).Select(x => x + 1)]),
            means = NativeBuffer.Of<T>(KernelValues.Normal(random, n, 0.1)),
            buffer = NativeBuffer.Of<T>(KernelValues.Normal(random, n));
        bool centered = random.Next(2) == 0, momentum = random.Next(2) == 0;
        var streams = new StepStreams
        {
            Parameter = p.Pointer,
            Gradient = g.Pointer,
            State0 = squares.Pointer,
            State1 = momentum ? buffer.Pointer : null,
            State2 = centered ? means.Pointer : null,
        };
        var a = new RMSpropArguments
        {
            Gradient = Transform(random),
            LearningRate = 0.1,
            Alpha = 0.9,
            Eps = 1e-8,
            Momentum = 0.5,
        };
        var job = new StepJob { Streams = &streams, Arguments = &a };
        double[] ep = [.. p.Values], es = [.. squares.Values], em = centered ? [.. means.Values] : [], eb = momentum ? [.. buffer.Values] : [];
        RMSpropKernel.Reference.Update(a, ep, g.Values, es, em, eb);
        RMSpropKernel.Run<V, T, E>(&job, 0, n);
        KernelValues.Close(ep, p.ToArray(), tolerance, "p");
        KernelValues.Close(es, squares.ToArray(), Math.Min(tolerance, Tolerance.Float32), "square_avg");
        KernelValues.Close(centered ? em : means.Values, means.ToArray(), Math.Min(tolerance, Tolerance.Float32), "grad_avg");
        KernelValues.Close(momentum ? eb : buffer.Values, buffer.ToArray(), Math.Min(tolerance, Tolerance.Float32), "momentum_buffer");
        foreach (var state in new[] { squares, means, buffer }) state.AssertBorders("state");
        p.AssertBorders("p");
    }
}

using TorchStab.Kernels;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Kernels;

public unsafe class RMSpropKernelTests : OptimizerKernelTests
{
    internal override void Equal<V, T, E>(int n, Random random, double tolerance)
    {
        using KernelData<T, E> p = new(KernelData.Normal(random, n)), g = new(KernelData.Normal(random, n));
        using KernelData<T, T> squares = new([.. KernelData.Positive(random, n).Select(x => x + 1)]), means = new(KernelData.Normal(random, n, 0.1)),
            buffer = new(KernelData.Normal(random, n));
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
        KernelData.Close(ep, p.Read(), tolerance, "p");
        KernelData.Close(es, squares.Read(), Math.Min(tolerance, Tolerance.Float32), "square_avg");
        KernelData.Close(centered ? em : means.Values, means.Read(), Math.Min(tolerance, Tolerance.Float32), "grad_avg");
        KernelData.Close(momentum ? eb : buffer.Values, buffer.Read(), Math.Min(tolerance, Tolerance.Float32), "momentum_buffer");
        foreach (var state in new[] { squares, means, buffer }) state.AssertGuards();
        p.AssertGuards();
    }
}

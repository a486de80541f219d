using TorchStab.Dispatch;
using TorchStab.Tests.Support;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace TorchStab.Tests.Normalization;

/// <summary>Every norm over many training steps: no tensor and no memory is left, threads do not disturb each other, nothing is allocated.</summary>
public class NormSoakTests(ITestOutputHelper log)
{
    /// <summary>Steps of the soak: 20,000 with TORCHSTAB_SOAK=1.</summary>
    private static readonly int Steps = Environment.GetEnvironmentVariable("TORCHSTAB_SOAK") == "1" ? 20_000 : 200;

    /// <summary>Until the runtime has compiled what it will and the collector's youngest generation has its size.</summary>
    private static readonly int WarmUp = Math.Min(Steps, 2000);

    /// <summary>BatchRenorm is composed of tensors around the kernel.</summary>
    public static TheoryData<string> InOneKernel => [.. NormThreadsTests.Names.Where(name => name != "BatchRenorm")];

    public static TheoryData<string, string> NormsByPlug
    {
        get
        {
            TheoryData<string, string> data = [];
            foreach (string name in NormThreadsTests.Names)
                foreach (string plug in Enum.GetNames<AutogradKind>()) data.Add(name, plug);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(NormsByPlug))]
    public void Steps_leave_no_tensor_and_no_memory(string name, string plug)
    {
        using var form = KernelForm.Kernel(Enum.Parse<AutogradKind>(plug));
        using var norm = NormThreadsTests.Create(name);
        for (int i = 0; i < WarmUp; i++) Step(norm, scoped: i % 2 == 0);
        Collect();
        long tensors = Tensor.TotalCount, memory = Environment.WorkingSet, most = 0;
        for (int part = 0; part < 4; part++)
        {
            for (int i = 0; i < Steps / 4; i++) Step(norm, scoped: i % 2 == 0);
            Collect();
            most = Math.Max(most, Environment.WorkingSet - memory);
        }
        log.WriteLine($"{name}, {plug}: {Steps} steps, {Tensor.TotalCount - tensors} tensors, at most {most / 1e6:0.0} MB more");
        Assert.True(Tensor.TotalCount <= tensors, $"{Tensor.TotalCount - tensors} tensors left");
        Assert.True(most < 10 << 20, $"grew by {most >> 10} kB");
    }

    [Theory]
    [MemberData(nameof(NormsByPlug))]
    public async Task Three_threads_train_at_once_under_forced_collections(string name, string plug)
    {
        using var form = KernelForm.Kernel(Enum.Parse<AutogradKind>(plug));
        using var stop = new CancellationTokenSource();
        var collector = Task.Run(() =>
        {
            while (!stop.IsCancellationRequested)
            {
                GC.Collect();
                Thread.Sleep(1); // without a pause the next collection begins before a waiting thread has woken: nobody trains
            }
        });
        double alone = Train(name);
        double[] together = await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => Task.Factory.StartNew(() => Train(name), TaskCreationOptions.LongRunning)));
        await stop.CancelAsync();
        await collector;
        Assert.All(together, result => Assert.Equal(alone, result));
    }

    [Theory]
    [MemberData(nameof(InOneKernel))]
    public void A_recorded_call_allocates_nothing_but_the_returned_wrapper(string name)
    {
        using var form = KernelForm.Kernel(AutogradKind.Pooled);
        using var norm = NormThreadsTests.Create(name);
        using var x = randn(4, 8, 6, 24, requires_grad: true);
        long wrapper = Allocated(() => x.alias().Dispose());
        foreach (bool train in new[] { true, false })
        {
            norm.train(train);
            long ours = Allocated(() => norm.forward(x).Dispose());
            Assert.True(ours <= wrapper, $"{ours} bytes a call (training: {train}), a tensor's wrapper has {wrapper}");
        }
    }

    private static void Step(nn.Module<Tensor, Tensor> norm, bool scoped)
    {
        using var scope = scoped ? NewDisposeScope() : null;
        using var x = randn(4, 8, 6, 24, requires_grad: true);
        using var y = norm.call(x);
        y.backward([x]);
        norm.zero_grad();
    }

    // What 40 steps make of the weight; they depend on nothing but themselves.
    private static double Train(string name)
    {
        using var scope = NewDisposeScope();
        using var norm = NormThreadsTests.Create(name);
        var x = linspace(-1, 2, 8 * 8 * 24 * 24).reshape(8, 8, 24, 24).sin().requires_grad_(true);
        var weight = norm.parameters().First();
        for (int i = 0; i < 40; i++)
        {
            using var inner = NewDisposeScope();
            var gradients = autograd.grad([norm.call(x)], [x, weight], [x]);
            using (no_grad()) weight.sub_(gradients[1] * 1e-4).add_(gradients[0].sum() * 1e-4);
        }
        return weight.to(ScalarType.Float64).sum().item<double>();
    }

    private static long Allocated(Action action)
    {
        for (int i = 0; i < 100; i++) action();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++) action();
        return (GC.GetAllocatedBytesForCurrentThread() - before) / 1000;
    }

    private static void Collect()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
    }
}

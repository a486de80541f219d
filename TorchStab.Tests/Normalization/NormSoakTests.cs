using TorchStab.Dispatch;
using TorchStab.Tests.Support;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace TorchStab.Tests.Normalization;

/// <summary>Every norm over many training steps: no tensor and no memory is left, threads do not disturb each other, nothing is allocated.</summary>
public class NormSoakTests(ITestOutputHelper log)
{
    private static readonly int Steps = Soak.Steps(inShort: 200);

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
        long most = Soak.AssertFlat(i => Step(norm, scoped: i % 2 == 0), Steps);
        log.WriteLine($"{name}, {plug}: {Steps} steps, at most {most / 1e6:0.0} MB more");
    }

    [Theory]
    [MemberData(nameof(NormsByPlug))]
    public void Three_threads_train_at_once_under_forced_collections(string name, string plug)
    {
        using var form = KernelForm.Kernel(Enum.Parse<AutogradKind>(plug));
        AtOnce.AssertSame(3, () => Train(name));
    }

    [Theory]
    [MemberData(nameof(InOneKernel))]
    public void A_recorded_call_allocates_nothing_but_the_returned_wrapper(string name)
    {
        using var form = KernelForm.Kernel(AutogradKind.Pooled);
        using var norm = NormThreadsTests.Create(name);
        using var x = randn(4, 8, 6, 24, requires_grad: true);
        long wrapper = Soak.Allocated(() => x.alias().Dispose());
        foreach (bool train in new[] { true, false })
        {
            norm.train(train);
            long ours = Soak.Allocated(() => norm.forward(x).Dispose());
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

    // What 16 steps make of the weight; they depend on nothing but themselves.
    private static double Train(string name)
    {
        using var scope = NewDisposeScope();
        using var norm = NormThreadsTests.Create(name);
        var x = linspace(-1, 2, 8 * 8 * 24 * 24).reshape(8, 8, 24, 24).sin().requires_grad_(true);
        var weight = norm.parameters().First();
        for (int i = 0; i < 16; i++)
        {
            using var inner = NewDisposeScope();
            var gradients = autograd.grad([norm.call(x)], [x, weight], [x]);
            using (no_grad()) weight.sub_(gradients[1] * 1e-4).add_(gradients[0].sum() * 1e-4);
        }
        return weight.to(ScalarType.Float64).sum().item<double>();
    }
}

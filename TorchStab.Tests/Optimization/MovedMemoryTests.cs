using TorchSharp.Modules;
using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Optimization;

/// <summary>Memory that moves between two steps, or changes its layout, is found again: held against the tensor-op form.</summary>
public sealed class MovedMemoryTests
{
    private static readonly Action<Parameter>[] Changes =
    [
        p => p.grad = randn(6, 4),
        p => p.grad = null,
        p => p.grad = randn(4, 6).t(), // not contiguous: the tensor-op form's
        p => p.set_(randn(6, 4)),
        p => p.set_(randn(4, 6).t()),
        p => p.set_(randn(100).narrow(0, 7, 24).view(6, 4)),
        p =>
        {
            p.set_(p.clone());
            p.grad = p.clone();
        },
        p =>
        {
            p.grad!.set_(randn(6, 4));
        },
    ];

    private static readonly Dictionary<string, Func<Parameter[], ClippingAwareOptimizer>> Optimizers = new()
    {
        ["Adam"] = p => stab.optim.Adam(p, 0.1, amsgrad: true, global_clipnorm: 1),
        ["AdamW"] = p => stab.optim.AdamW(p, 0.1, clipnorm: 0.5),
        ["SGD"] = p => stab.optim.SGD(p, 0.1, momentum: 0.9, global_clipnorm: 1),
        ["RMSprop"] = p => stab.optim.RMSprop(p, 0.1, momentum: 0.9, centered: true),
    };

    public static TheoryData<int, string> Cases
    {
        get
        {
            var cases = new TheoryData<int, string>();
            for (int change = 0; change < Changes.Length; change++)
                foreach (string kind in Optimizers.Keys) cases.Add(change, kind);
            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_step_follows_its_tensors(int change, string kind)
    {
        using var scope = NewDisposeScope();
        Parameter[] fast = Parameters(), plain = Parameters();
        using ClippingAwareOptimizer a = Optimizers[kind](fast), b = Optimizers[kind](plain);
        for (int step = 0; step < 4; step++)
        {
            a.step();
            using (KernelForm.TensorOps()) b.step();
            for (int i = 0; i < fast.Length; i++) Compare.Close(plain[i], fast[i], $"step {step}, parameter {i}");
            Change(fast[1], change, step);
            Change(plain[1], change, step);
        }
    }

    [Fact]
    public void A_moment_that_was_replaced_is_used()
    {
        using var scope = NewDisposeScope();
        using var p = new Parameter(zeros(3)) { grad = ones(3) };
        using var optimizer = stab.optim.SGD([p], 1, momentum: 0.5);
        optimizer.step();
        var state = (TorchStab.Modules.SGD.State)optimizer.state_dict().State[0];
        state.momentum_buffer!.Dispose();
        state.momentum_buffer = full(3, 10.0).DetachFromDisposeScope();
        optimizer.step();
        Compare.Close(full(3, -7.0), p, "parameter");
        state.momentum_buffer.Dispose();
        Assert.Throws<InvalidOperationException>(() => optimizer.step());
    }

    /// <summary>
    /// Through libtorch's own functions, which TorchSharp does not offer: other sizes, another number of dimensions, the same elements as before.
    /// </summary>
    [Theory]
    [InlineData("x.resize_(2, 5)", "of shape [6, 4], got [2, 5]")]
    [InlineData("x.resize_(24)", "of shape [6, 4], got [24]")]
    [InlineData("x.unsqueeze_(0)", "of shape [6, 4], got [1, 6, 4]")]
    [InlineData("x.as_strided_([4, 6], [6, 1], 0)", "of shape [6, 4], got [4, 6]")]
    public void A_moment_that_was_changed_in_place_is_looked_at_again(string change, string refusal)
    {
        using var code = jit.compile($"def change(x):\n    return {change}\n");
        foreach (string kind in Optimizers.Keys)
        {
            using var scope = NewDisposeScope();
            var parameters = Parameters();
            using var optimizer = Optimizers[kind](parameters);
            for (int step = 0; step < 2; step++) optimizer.step();
            var state = optimizer.state_dict().State[1];
            foreach (var moment in state.GetType().GetFields().Select(f => f.GetValue(state)).OfType<Tensor>())
            {
                var (before, kept) = (parameters[0].detach().clone(), moment.clone());
                ((Tensor)code.invoke("change", moment)).Dispose();
                Assert.Contains(refusal, Assert.Throws<InvalidOperationException>(() => optimizer.step()).Message);
                Assert.True(before.equal(parameters[0]).all().item<bool>());
                moment.set_(kept);
            }
        }
    }

    private static void Change(Parameter p, int change, int step)
    {
        using var _ = no_grad();
        manual_seed(step);
        Changes[change](p);
    }

    private static Parameter[] Parameters()
    {
        manual_seed(1);
        return [.. new long[][] { [5], [6, 4], [33, 3] }.Select(shape => new Parameter(randn(shape)) { grad = randn(shape) })];
    }
}

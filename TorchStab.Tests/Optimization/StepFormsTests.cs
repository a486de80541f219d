using TorchSharp.Modules;
using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Optimization;

/// <summary>The kernel form of a step against its tensor-op form, and what holds for the kernel form alone.</summary>
public sealed class StepFormsTests
{
    private static readonly Func<IEnumerable<Parameter>, ClippingAwareOptimizer>[] Optimizers =
    [
        p => stab.optim.Adam(p, weight_decay: 0.1, global_clipnorm: 1),
        p => stab.optim.Adam(p, amsgrad: true, maximize: true, clipvalue: 0.3),
        p => stab.optim.AdamW(p, weight_decay: 0.1, clipnorm: 0.5),
        p => stab.optim.SGD(p, 0.1),
        p => stab.optim.SGD(p, 0.1, momentum: 0.9, dampening: 0.2, weight_decay: 0.1, maximize: true, global_clipnorm: 1),
        p => stab.optim.SGD(p, 0.1, momentum: 0.9, weight_decay: 0.1, nesterov: true),
        p => stab.optim.RMSprop(p, weight_decay: 0.1),
        p => stab.optim.RMSprop(p, momentum: 0.5, centered: true, global_clipnorm: 1),
    ];

    public static TheoryData<int, ScalarType> Cases
    {
        get
        {
            var cases = new TheoryData<int, ScalarType>();
            for (int k = 0; k < Optimizers.Length; k++)
                foreach (var dtype in new[] { ScalarType.Float32, ScalarType.Float64, ScalarType.BFloat16 }) cases.Add(k, dtype);
            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Both_forms_agree(int which, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        List<Parameter> fast = Parameters(dtype), plain = Parameters(dtype);
        using ClippingAwareOptimizer a = Optimizers[which](fast), b = Optimizers[which](plain);
        if (dtype == ScalarType.BFloat16) a.MomentDtype = b.MomentDtype = ScalarType.Float32;
        for (int step = 0; step < 4; step++)
        {
            Gradients(fast, step);
            Gradients(plain, step);
            a.step();
            using (KernelForm.TensorOps()) b.step();
            Assert.Equal(b.LastStep.GradNorm, a.LastStep.GradNorm, Tolerance.Of(dtype) * b.LastStep.GradNorm);
            for (int i = 0; i < fast.Count; i++) Compare.Close(plain[i], fast[i], $"step {step}, parameter {i}");
        }
        foreach (var p in fast.Concat(plain)) p.Dispose();
    }

    [Fact]
    public void The_bits_do_not_depend_on_the_threads()
    {
        int threads = get_num_threads();
        using var scope = NewDisposeScope();
        var runs = new List<List<Parameter>>();
        foreach (int n in new[] { 1, 2, 3 })
        {
            set_num_threads(n);
            var parameters = Parameters(ScalarType.Float32);
            parameters.Add(new Parameter(ones(300_001)));
            using var optimizer = stab.optim.Adam(parameters, global_clipnorm: 0.1);
            for (int step = 0; step < 3; step++)
            {
                Gradients(parameters, step);
                optimizer.step();
            }
            runs.Add(parameters);
        }
        set_num_threads(threads);
        foreach (var run in runs[1..])
            for (int i = 0; i < run.Count; i++) Compare.Identical(runs[0][i], run[i], $"parameter {i}");
    }

    [Fact]
    public void A_step_between_forward_and_backward_is_noticed()
    {
        using var scope = NewDisposeScope();
        using var p = new Parameter(ones(4));
        using var optimizer = stab.optim.SGD([p], 0.1);
        var loss = (p * p).sum();
        p.grad = ones(4);
        optimizer.step();
        Assert.Contains("modified by an inplace operation", Assert.ThrowsAny<Exception>(() => loss.backward()).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1e-3)]
    [InlineData(1.0)]
    [InlineData(1e25)]
    public void The_norm_has_fifteen_digits(double scale)
    {
        using var scope = NewDisposeScope();
        var tensors = new long[] { 7, 100, 5_000, 1_000_000 }.Select(n => randn(n) * scale).ToArray();
        double exact = Math.Sqrt(tensors.Sum(t => t.to(ScalarType.Float64).square().sum().item<double>()));
        Assert.Equal(1, stab.nn.utils.get_total_norm(tensors) / exact, 1e-12);
    }

    [Fact]
    public void A_step_leaves_no_tensor_behind()
    {
        using var p = new Parameter(ones(1000));
        using var optimizer = stab.optim.Adam([p], global_clipnorm: 1);
        using var gradient = ones(1000);
        p.grad = gradient;
        LiveTensors.AssertNoneLeft(() => optimizer.step());
    }

    [Fact]
    public void A_step_allocates_nothing_for_a_parameter()
    {
        using var scope = NewDisposeScope();
        foreach (var make in Optimizers)
        {
            long few = Allocated(make, 10), many = Allocated(make, 500);
            Assert.Equal(few, many);
            Assert.True(few <= 400, $"{few} bytes a step"); // TorchSharp's DisposeScope and no_grad
        }

        static long Allocated(Func<IEnumerable<Parameter>, ClippingAwareOptimizer> make, int parameters)
        {
            using var optimizer = make([.. Enumerable.Range(0, parameters).Select(_ => new Parameter(ones(64)) { grad = ones(64) })]);
            optimizer.Clip = GradientClip.ByGlobalNorm(1);
            for (int i = 0; i < 3; i++) optimizer.step();
            long before = GC.GetAllocatedBytesForCurrentThread();
            optimizer.step();
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }
    }

    // A matrix, a bias, a scalar, a channels-last weight (left to the tensor-op form), one idle parameter.
    internal static List<Parameter> Parameters(ScalarType dtype)
    {
        using var generator = new Generator(5);
        var weight = randn(4, 3, 3, 3, generator: generator).permute(0, 3, 1, 2);
        return [.. new[] { randn(33, 17, generator: generator), randn(130, generator: generator), randn([], generator: generator), weight, ones(5) }
            .Select(t => new Parameter(t.to(dtype)))];
    }

    internal static void Gradients(List<Parameter> parameters, int step)
    {
        using var generator = new Generator((ulong)step);
        for (int i = 0; i < parameters.Count; i++)
            if (i != 4) parameters[i].grad = randn(parameters[i].shape, generator: generator).to(parameters[i].dtype);
    }
}

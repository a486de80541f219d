using TorchSharp.Modules;
using TorchStab.Clipping;
using TorchStab.Dispatch;
using TorchStab.Tests.Support;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace TorchStab.Tests.Optimization;

/// <summary>
/// Steps by libtorch's operations on lists of tensors, as other devices take them, forced on the CPU: the numbers of the tensor-op form, which is the equation,
/// and what stays as it is (gradients, skipped steps, other dtypes).
/// </summary>
public class FusedStepTests(ITestOutputHelper log)
{
    // The same operations in another order: rounding of a few ulp each in 6 steps.
    private const double Close = 2e-6;

    public static TheoryData<string> Optimizers => ["adam", "adam decay", "adamw", "master", "amsgrad", "maximize", "sgd", "sgd momentum", "nesterov",
        "dampening", "rmsprop", "rmsprop decay", "rmsprop momentum", "rmsprop centered", "rmsprop both", "rmsprop everything", "rmsprop alpha 1"];

    private static readonly string[] Rules = ["none", "global", "per parameter", "value", "average", "adaptive"];

    [Theory]
    [MemberData(nameof(Optimizers))]
    public void A_fused_step_is_the_equation(string optimizer)
    {
        foreach (var dtype in new[] { ScalarType.Float32, ScalarType.Float64 })
            foreach (string rule in Rules) Same(optimizer, rule, dtype);
    }

    /// <summary>Computed in float32 and rounded once: nearly every element is the same number.</summary>
    [Theory]
    [MemberData(nameof(Optimizers))]
    public void A_fused_step_of_half_parameters_is_the_equation(string optimizer)
    {
        foreach (var dtype in new[] { ScalarType.Float16, ScalarType.BFloat16 })
            foreach (string rule in Rules) Same(optimizer, rule, dtype);
    }

    [Fact]
    public void Parameters_of_several_dtypes_channels_last_and_empty_ones_are_updated_too()
    {
        foreach (bool fused in new[] { false, true })
        {
            using var form = Form(fused);
            using var scope = NewDisposeScope();
            List<Parameter> parameters = [new(ones(4, 2, 2, 3).permute(0, 3, 1, 2)), new(ones(3, ScalarType.Float16)), new(ones(2, 0)),
                new(ones(2, 2, ScalarType.BFloat16)), new(ones([], ScalarType.Float64))];
            foreach (var p in parameters) p.grad = full_like(p, 0.5);
            using var adam = stab.optim.Adam(parameters, lr: 0.25, clipvalue: 0.25);
            adam.step();
            foreach (var p in parameters.Where(p => p.numel() > 0)) Assert.True((p - 0.75).abs().max().to(ScalarType.Float32).item<float>() < 1e-6f);
        }
    }

    [Theory]
    [InlineData("adam", "global", ScalarType.Float32)]
    [InlineData("adamw", "value", ScalarType.Float32)]
    [InlineData("adamw", "per parameter", ScalarType.Float32)]
    [InlineData("adam decay", "global", ScalarType.Float16)]
    [InlineData("master", "per parameter", ScalarType.Float16)]
    [InlineData("rmsprop", "global", ScalarType.Float32)]
    [InlineData("rmsprop everything", "value", ScalarType.BFloat16)]
    public void Gradients_are_not_written_and_a_skipped_step_changes_nothing(string optimizer, string rule, ScalarType dtype)
    {
        using var form = Form(true);
        using var scope = NewDisposeScope();
        var parameters = Parameters(dtype);
        Give(parameters, 1, 10);
        var gradients = parameters.ConvertAll(p => p.grad!.clone());
        using var optim = Make(optimizer, parameters, rule);
        var output = parameters[0].square().sum();
        optim.step();
        Assert.True(optim.LastStep.Clipped);
        for (int i = 0; i < parameters.Count; i++) Compare.Identical(gradients[i], parameters[i].grad!, $"gradient {i}");
        Assert.ThrowsAny<Exception>(() => output.backward()); // what it saved has been written since
        var before = parameters.ConvertAll(p => p.detach().clone());
        byte[] state = State(optim);
        parameters[3].grad![0] = double.NaN;
        optim.step();
        Assert.True(optim.LastStep.Skipped);
        for (int i = 0; i < parameters.Count; i++) Compare.Identical(before[i], parameters[i], $"parameter {i}");
        Assert.Equal(state, State(optim));
    }

    /// <summary>The parameter is restored if its update is not finite.</summary>
    [Theory]
    [InlineData("rmsprop", ScalarType.Float16)]
    [InlineData("rmsprop everything", ScalarType.Float32)]
    [InlineData("adamw", ScalarType.BFloat16)]
    public void Very_large_gradients_end_as_in_tensor_operations(string optimizer, ScalarType dtype)
    {
        List<(bool Skipped, double[] Values)> results = [];
        foreach (bool fused in new[] { false, true })
        {
            using var form = Form(fused);
            using var scope = NewDisposeScope();
            var parameters = Parameters(dtype);
            Give(parameters, 1, 1);
            parameters[1].grad![2] = dtype == ScalarType.Float16 ? 6e4 : 3e38;
            using var optim = Make(optimizer, parameters, "none");
            optim.step();
            results.Add((optim.LastStep.Skipped, [.. parameters.SelectMany(p => p.detach().to(ScalarType.Float64).data<double>().ToArray())]));
        }
        Assert.Equal(results[0].Skipped, results[1].Skipped);
        foreach (var (expected, actual) in results[0].Values.Zip(results[1].Values)) Assert.Equal(expected, actual, Close);
    }

    [Fact]
    public void Norms_in_lists_are_those_of_the_kernels()
    {
        using var scope = NewDisposeScope();
        foreach (double order in new[] { 1, 2, 3, double.PositiveInfinity, double.NegativeInfinity, 0 })
            foreach (double size in new[] { 1, 1e25, 1e-30 })
            {
                List<Tensor> tensors = [randn(50) * size, randn(3, 4) * size, randn(7, dtype: ScalarType.Float64) * size, zeros(2), empty(0),
                    randn(6).to(ScalarType.BFloat16)];
                double[] lists, kernels;
                using (Form(true)) lists = GradientNorms.Of(order == double.NegativeInfinity ? tensors[..3] : tensors, order);
                using (KernelForm.Kernel()) kernels = GradientNorms.Of(order == double.NegativeInfinity ? tensors[..3] : tensors, order);
                for (int i = 0; i < lists.Length; i++) Assert.Equal(kernels[i], lists[i], 1e-5 * Math.Abs(kernels[i]));
            }
    }

    [Theory]
    [InlineData("adamw", "global", ScalarType.Float32)]
    [InlineData("adamw", "value", ScalarType.Float16)]
    [InlineData("rmsprop", "per parameter", ScalarType.BFloat16)]
    [InlineData("rmsprop everything", "global", ScalarType.Float32)]
    public void A_step_leaves_no_tensor(string optimizer, string rule, ScalarType dtype)
    {
        using var form = Form(true);
        using var scope = NewDisposeScope();
        var parameters = Enumerable.Range(0, 40).Select(_ => new Parameter(randn(10, 10, dtype))).ToList();
        Give(parameters, 1, 100);
        using var optim = Make(optimizer, parameters, rule);
        LiveTensors.AssertNoneLeft(() => optim.step());
    }

    [Fact]
    public void A_call_that_fails_halfway_leaves_no_tensor()
    {
        using var scope = NewDisposeScope();
        Tensor p = ones(4, ScalarType.Float16), g = ones(4, ScalarType.Float16), state = zeros(3);
        var memory = new StepMemory(TensorView.Of(p), TensorView.Of(g), TensorView.Of(state));
        LiveTensors.AssertNoneLeft(() =>
        {
            using var form = Form(true);
            var step = new FusedStep(_ => new Failing());
            Assert.False(step.TryAdd(memory, p, new(1, 0.5, 0), 1)); // a state of another size
            Assert.True(step.TryAdd(new(TensorView.Of(p), TensorView.Of(g)), p, new(1, 0.5, 0), 1));
            Assert.Throws<InvalidOperationException>(step.Run);
        });
        Assert.Equal(4, p.sum().to(ScalarType.Float32).item<float>());
    }

    /// <summary>ResNet-50 has 161 parameters. In tensor operations such a step takes 1,900 to 3,700.</summary>
    [TracedTheory]
    [InlineData("adamw", "global", ScalarType.Float32, 30)]
    [InlineData("adamw", "none", ScalarType.Float32, 8)] // nothing is clipped: no copies
    [InlineData("nesterov", "global", ScalarType.Float32, 30)]
    [InlineData("adamw", "value", ScalarType.Float32, 40)]
    [InlineData("adamw", "per parameter", ScalarType.Float32, 60)]
    [InlineData("adamw", "adaptive", ScalarType.Float32, 60)] // of vectors: each is one unit
    [InlineData("adamw", "adaptive rows", ScalarType.Float32, 1050)]
    [InlineData("adamw", "global", ScalarType.Float16, 60)]
    [InlineData("master", "global", ScalarType.BFloat16, 100)]
    [InlineData("rmsprop", "none", ScalarType.Float32, 40)]
    [InlineData("rmsprop", "global", ScalarType.Float32, 40)]
    [InlineData("rmsprop both", "none", ScalarType.Float32, 100)]
    [InlineData("rmsprop everything", "global", ScalarType.BFloat16, 180)]
    public void A_step_of_161_parameters_takes_few_operations(string optimizer, string rule, ScalarType dtype, int most)
    {
        var (operations, clipped) = Operations(optimizer, rule, dtype, fused: true);
        log.WriteLine($"{operations.Count} operations: {string.Join(' ', operations.CountBy(name => name))}");
        log.WriteLine($"in tensor operations {Operations(optimizer, rule, dtype, fused: false).Names.Count}");
        Assert.Equal(rule != "none", clipped);
        Assert.InRange(operations.Count, 1, most);
        Assert.DoesNotContain("aten::_local_scalar_dense", operations); // the norms are read together, by one copy
    }

    private static (List<string> Names, bool Clipped) Operations(string optimizer, string rule, ScalarType dtype, bool fused)
    {
        using var form = Form(fused);
        using var scope = NewDisposeScope();
        var parameters = Enumerable.Range(1, 161).Select(i => new Parameter(randn(rule == "adaptive rows" ? [3, i] : [3 * i]).to(dtype))).ToList();
        Give(parameters, 1, 1);
        using var optim = Make(optimizer, parameters, rule);
        for (int i = 0; i < 3; i++) optim.step(); // TorchScript compiles in its first calls
        return (OperationTrace.Of(() => optim.step()), optim.LastStep.Clipped);
    }

    private sealed record Failing : FusedUpdate
    {
        protected override FusedUpdate Trial => new FusedSGD(0.5, 0, 0, 0, false, false);

        protected override double[] Expected => [0.375];

        public override void Run(in FusedTensors tensors) => throw new InvalidOperationException("halfway");
    }

    private static void Same(string optimizer, string rule, ScalarType dtype)
    {
        List<List<Tensor>> results = [];
        foreach (bool fused in new[] { false, true })
        {
            using var form = Form(fused);
            using var scope = NewDisposeScope();
            var parameters = Parameters(dtype);
            using var optim = Make(optimizer, parameters, rule);
            for (int step = 1; step <= 6; step++)
            {
                Give(parameters, step, rule == "average" ? 0.1 : 1);
                if (step == 3) parameters[1].grad = null; // its age differs from now on
                if (step == 5)
                    using (no_grad()) parameters[0][2, 3] = 1.5; // which replaces the element of a master copy
                optim.step();
            }
            results.Add(parameters.ConvertAll(p => p.detach().to(ScalarType.Float64).flatten().MoveToOuterDisposeScope()));
        }
        using var all = NewDisposeScope();
        Tensor expected = cat([.. results[0]]), error = (cat([.. results[1]]) - expected).abs();
        foreach (var t in results.SelectMany(r => r)) t.Dispose();
        var allowed = dtype switch
        {
            ScalarType.Float64 => full_like(error, 1e-12),
            ScalarType.Float32 => full_like(error, Close),
            _ => expected.abs().clamp_min(1) * Tolerance.Of(dtype),
        };
        Assert.True(error.le(allowed).all().item<bool>(), $"{optimizer}, {rule}, {dtype}: off by {error.max().item<double>()}");
        if (MostRounded(dtype) is { } most) Assert.InRange(error.ne(0).sum().item<long>(), 0, most);
    }

    // Of 172 elements: the same number in float32 but for an ulp is hardly ever rounded to another half.
    private static long? MostRounded(ScalarType dtype) => dtype is ScalarType.Float16 or ScalarType.BFloat16 ? 5 : null;

    private static byte[] State(TorchStab.Modules.ClippingAwareOptimizer optim)
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        optim.save_state_dict(writer);
        writer.Flush();
        return stream.ToArray();
    }

    private static List<Parameter> Parameters(ScalarType dtype)
    {
        manual_seed(5);
        return [.. new long[][] { [6, 5], [5], [3, 2, 2], [4], [1], [30, 4] }.Select(shape => new Parameter(randn(shape).to(dtype)))];
    }

    private static void Give(List<Parameter> parameters, int step, double size)
    {
        manual_seed(100 + step);
        foreach (var p in parameters) p.grad = (randn(p.shape) * size).to(p.dtype);
    }

    private static TorchStab.Modules.ClippingAwareOptimizer Make(string name, List<Parameter> p, string rule)
    {
        TorchStab.Modules.ClippingAwareOptimizer optim = name switch
        {
            "adam" => stab.optim.Adam(p, lr: 0.1),
            "adam decay" => stab.optim.Adam(p, lr: 0.1, weight_decay: 0.1, eps: 1e-3),
            "adamw" => stab.optim.AdamW(p, lr: 0.1, weight_decay: 0.2),
            "master" => stab.optim.AdamW(p, lr: 0.1, weight_decay: 0.2, master_weights: true),
            "amsgrad" => stab.optim.Adam(p, lr: 0.1, amsgrad: true),
            "maximize" => stab.optim.AdamW(p, lr: 0.1, maximize: true),
            "sgd" => stab.optim.SGD(p, 0.1, weight_decay: 0.1),
            "sgd momentum" => stab.optim.SGD(p, 0.1, momentum: 0.9, maximize: true, weight_decay: 0.1),
            "nesterov" => stab.optim.SGD(p, 0.1, momentum: 0.9, nesterov: true),
            "dampening" => stab.optim.SGD(p, 0.1, momentum: 0.9, dampening: 0.3),
            "rmsprop" => stab.optim.RMSprop(p, 0.01, eps: 1e-3),
            "rmsprop decay" => stab.optim.RMSprop(p, 0.01, weight_decay: 0.1, eps: 1e-3, maximize: true),
            "rmsprop momentum" => stab.optim.RMSprop(p, 0.01, momentum: 0.9, eps: 1e-3),
            "rmsprop centered" => stab.optim.RMSprop(p, 0.01, centered: true, eps: 1e-3),
            "rmsprop both" => stab.optim.RMSprop(p, 0.01, centered: true, momentum: 0.9, eps: 1e-3),
            "rmsprop everything" => stab.optim.RMSprop(p, 0.01, centered: true, momentum: 0.9, weight_decay: 0.1, maximize: true, eps: 1e-3),
            "rmsprop alpha 1" => stab.optim.RMSprop(p, 0.01, alpha: 1, eps: 0.1),
            _ => throw new ArgumentException("no such optimizer", nameof(name)),
        };
        optim.Clip = rule switch
        {
            "global" => GradientClip.ByGlobalNorm(0.5),
            "per parameter" => GradientClip.ByNorm(0.5),
            "value" => GradientClip.ByValue(0.3),
            "adaptive" or "adaptive rows" => GradientClip.Adaptive(0.1),
            _ => null,
        };
        if (rule == "average") optim.accumulate(2);
        return optim;
    }

    private static KernelForm Form(bool fused) => fused ? KernelForm.Native() : KernelForm.TensorOps();
}

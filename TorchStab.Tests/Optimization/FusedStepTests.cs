using TorchSharp.Modules;
using TorchStab.Clipping;
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

    public static TheoryData<string> Optimizers => ["adam", "adam decay", "adamw", "amsgrad", "maximize", "sgd", "sgd momentum", "nesterov", "dampening"];

    private static readonly string[] Rules = ["none", "global", "per parameter", "value", "average", "adaptive"];

    [Theory]
    [MemberData(nameof(Optimizers))]
    public void A_fused_step_is_the_equation(string optimizer)
    {
        foreach (var dtype in new[] { ScalarType.Float32, ScalarType.Float64 })
            foreach (string rule in Rules) Same(optimizer, rule, dtype);
    }

    [Fact]
    public void Half_parameters_channels_last_and_master_copies_are_updated_too()
    {
        foreach (var dtype in new[] { ScalarType.Float16, ScalarType.BFloat16 }) Same("adam", "global", dtype);
        foreach (bool fused in new[] { false, true })
        {
            using var form = Form(fused);
            using var scope = NewDisposeScope();
            var weight = new Parameter(ones(4, 2, 2, 3).permute(0, 3, 1, 2));
            weight.grad = full_like(weight, 0.5);
            using var adam = stab.optim.Adam([weight], lr: 0.25);
            adam.step();
            Assert.True((weight - 0.75).abs().max().item<float>() < 1e-6f);
        }
    }

    [Fact]
    public void Gradients_are_not_written_and_a_skipped_step_changes_nothing()
    {
        using var form = Form(true);
        using var scope = NewDisposeScope();
        var parameters = Parameters(ScalarType.Float32);
        Give(parameters, 1, 10);
        var gradients = parameters.ConvertAll(p => p.grad!.clone());
        using var adam = stab.optim.Adam(parameters, lr: 0.1, global_clipnorm: 1);
        adam.step();
        Assert.True(adam.LastStep.Clipped);
        for (int i = 0; i < parameters.Count; i++) Compare.Identical(gradients[i], parameters[i].grad!, $"gradient {i}");
        var before = parameters.ConvertAll(p => p.detach().clone());
        parameters[3].grad![0] = double.NaN;
        adam.step();
        Assert.True(adam.LastStep.Skipped);
        for (int i = 0; i < parameters.Count; i++) Compare.Identical(before[i], parameters[i], $"parameter {i}");
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

    [Fact]
    public void A_step_leaves_no_tensor_and_little_memory()
    {
        using var form = Form(true);
        using var scope = NewDisposeScope();
        var parameters = Enumerable.Range(0, 40).Select(_ => new Parameter(randn(100, 100))).ToList();
        Give(parameters, 1, 100);
        using var adam = stab.optim.AdamW(parameters, global_clipnorm: 1);
        LiveTensors.AssertNoneLeft(() => adam.step());
    }

    /// <summary>ResNet-50 has 161 parameters. In tensor operations such a step takes 2,095.</summary>
    [TracedTheory]
    [InlineData("adamw", 0.5, 30)]
    [InlineData("adamw", 1e9, 8)] // nothing is clipped: no copies
    [InlineData("nesterov", 0.5, 30)]
    public void A_step_of_161_parameters_takes_few_operations(string optimizer, double bound, int most)
    {
        using var form = Form(true);
        using var scope = NewDisposeScope();
        var parameters = Enumerable.Range(1, 161).Select(i => new Parameter(randn(3 * i))).ToList();
        Give(parameters, 1, 1);
        using var optim = Make(optimizer, parameters, "none");
        optim.Clip = GradientClip.ByGlobalNorm(bound);
        for (int i = 0; i < 3; i++) optim.step(); // TorchScript compiles in its first calls
        var operations = OperationTrace.Of(() => optim.step());
        log.WriteLine(string.Join(' ', operations));
        Assert.Equal(bound < 1, optim.LastStep.Clipped);
        Assert.InRange(operations.Count, 1, most);
        Assert.DoesNotContain("aten::_local_scalar_dense", operations); // the norms are read together, by one copy
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
                optim.step();
            }
            results.Add(parameters.ConvertAll(p => p.detach().to(ScalarType.Float64).MoveToOuterDisposeScope()));
        }
        for (int i = 0; i < results[0].Count; i++)
        {
            double error = (results[0][i] - results[1][i]).abs().max().item<double>();
            Assert.True(error <= (dtype == ScalarType.Float64 ? 1e-12 : Close), $"{optimizer}, {rule}, {dtype}: parameter {i} is off by {error}");
            results[0][i].Dispose();
            results[1][i].Dispose();
        }
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
            "amsgrad" => stab.optim.Adam(p, lr: 0.1, amsgrad: true),
            "maximize" => stab.optim.AdamW(p, lr: 0.1, maximize: true),
            "sgd" => stab.optim.SGD(p, 0.1, weight_decay: 0.1),
            "sgd momentum" => stab.optim.SGD(p, 0.1, momentum: 0.9, maximize: true, weight_decay: 0.1),
            "nesterov" => stab.optim.SGD(p, 0.1, momentum: 0.9, nesterov: true),
            _ => stab.optim.SGD(p, 0.1, momentum: 0.9, dampening: 0.3),
        };
        optim.Clip = rule switch
        {
            "global" => GradientClip.ByGlobalNorm(0.5),
            "per parameter" => GradientClip.ByNorm(0.5),
            "value" => GradientClip.ByValue(0.3),
            "adaptive" => GradientClip.Adaptive(0.1),
            _ => null,
        };
        if (rule == "average") optim.accumulate(2);
        return optim;
    }

    private static KernelForm Form(bool fused) => fused ? KernelForm.Native() : KernelForm.TensorOps();
}

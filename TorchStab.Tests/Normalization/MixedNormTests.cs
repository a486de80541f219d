using TorchSharp;
using TorchStab.Dispatch;
using TorchStab.Normalization;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Normalization;

/// <summary>
/// Half-precision inputs by kernel, with parameters of their own dtype or of float32 (mixed precision): the formula in float32, rounded once. Held to the
/// formula in float64 on the same numbers: an output is off by half a unit in its last place and what float32 leaves.
/// </summary>
public class MixedNormTests
{
    private delegate Tensor Norm(Tensor x, Tensor? weight, Tensor? bias);

    /// <summary>A norm and the rank of its input, whose dimension 1 has the size of the parameters.</summary>
    private sealed record Op(Norm Apply, int Rank = 4, bool HasBias = true);

    private static readonly Dictionary<string, Op> Ops = new()
    {
        ["LayerNorm"] = new((x, w, b) => stab.nn.functional.layer_norm(x, [x.size(-1)], w, b), 2),
        ["RMSNorm"] = new((x, w, _) => stab.nn.functional.rms_norm(x, [x.size(-1)], w, 1e-5), 2, HasBias: false),
        ["LayerNorm2d"] = new((x, w, b) => LayerNorm2dFunctional.Apply(x, x.size(1), w, b, 1e-5, mask: null)),
        ["GroupNorm"] = new((x, w, b) => stab.nn.functional.group_norm(x, 3, w, b)),
        ["InstanceNorm"] = new((x, w, b) => stab.nn.functional.instance_norm(x, null, null, w, b)),
        ["BatchNorm"] = Batch(training: true, relu: false),
        ["BatchNorm in eval mode"] = Batch(training: false, relu: false),
        ["BatchNormReLU"] = Batch(training: true, relu: true),
    };

    public static TheoryData<string, ScalarType> Cases
    {
        get
        {
            var data = new TheoryData<string, ScalarType>();
            foreach (string name in Ops.Keys)
                foreach (var dtype in new[] { ScalarType.BFloat16, ScalarType.Float16 }) data.Add(name, dtype);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Kernels_round_the_formula_once(string name, ScalarType dtype)
    {
        foreach (var width in KernelForm.Widths)
        {
            using var form = KernelForm.Kernel(width: width);
            for (int seed = 0; seed < 12; seed++) Hold(Ops[name], dtype, new Random(seed), $"{name}, {dtype}, {width}, seed {seed}");
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Both_plugs_record_them(string name, ScalarType dtype)
    {
        using var form = KernelForm.Kernel(AutogradKind.Function);
        for (int seed = 0; seed < 4; seed++) Hold(Ops[name], dtype, new Random(seed), $"{name}, {dtype}, seed {seed}");
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Tensor_operations_agree(string name, ScalarType dtype)
    {
        using var form = KernelForm.TensorOps();
        for (int seed = 0; seed < 4; seed++) Hold(Ops[name], dtype, new Random(seed), $"{name}, {dtype}, seed {seed}");
    }

    /// <summary>The sums of such gradients leave float32's range, the gradients themselves do not: the backward pass is repeated in float64.</summary>
    [Theory]
    [InlineData("LayerNorm")]
    [InlineData("RMSNorm")]
    [InlineData("LayerNorm2d")]
    [InlineData("GroupNorm")]
    [InlineData("BatchNorm")]
    public void Extreme_gradients_have_the_dtypes_of_their_tensors(string name)
    {
        using var scope = NewDisposeScope();
        using var form = KernelForm.Kernel();
        manual_seed(5);
        double scale = Math.ScaleB(1, 124);
        long[] shape = Ops[name].Rank == 2 ? [2, 96] : [2, 96, 2, 2];
        Tensor x = randn(shape).to(ScalarType.BFloat16), weight = rand(96) + 0.5, upstream = (rand(shape) + 0.5).to(ScalarType.BFloat16);
        var bias = Ops[name].HasBias ? zeros(96) : null;
        var (_, gradients) = Run(Ops[name].Apply, [x, weight, bias], upstream * scale);
        var (_, expected) = Run(Ops[name].Apply, [.. new[] { x, weight, bias }.Select(t => t?.to(ScalarType.Float64))], upstream.to(ScalarType.Float64));
        Near(expected[0]!, gradients[0]!.to(ScalarType.Float64) / scale, ScalarType.BFloat16, $"{name}, dx");
        Assert.Equal((ScalarType.BFloat16, ScalarType.Float32), (gradients[0]!.dtype, gradients[1]!.dtype));
        Near(expected[1]!, gradients[1]!.to(ScalarType.Float64) / scale, ScalarType.Float32, $"{name}, dweight");
        if (bias is not null) Near(expected[2]!, gradients[2]!.to(ScalarType.Float64) / scale, ScalarType.Float32, $"{name}, dbias");
    }

    [Fact]
    public void An_autocast_region_gives_the_norms_what_their_kernels_take()
    {
        using var scope = NewDisposeScope();
        using var form = KernelForm.Kernel();
        if (!stab.amp.is_autocast_available(DeviceType.CPU)) return;
        manual_seed(3);
        var (linear, norm) = (nn.Linear(6, 10), stab.nn.LayerNorm(10));
        Tensor y;
        using (stab.amp.autocast(DeviceType.CPU))
        {
            var x = linear.call(randn(4, 6));
            Assert.Equal(ScalarType.BFloat16, x.dtype);
            Assert.Equal(NormForm.Kernel, NormSelection.FormOfRows(NativeNorm.Layer, x, norm.weight, norm.bias, 10));
            y = norm.call(x);
        }
        Assert.Equal(ScalarType.BFloat16, y.dtype);
        y.backward([randn_like(y)]);
        Assert.Equal(ScalarType.Float32, norm.weight.grad!.dtype);
        Assert.Equal(ScalarType.Float32, linear.weight!.grad!.dtype);
    }

    private static Op Batch(bool training, bool relu)
    {
        return new((x, w, b) => BatchNormFunctional.Apply(new(x, training ? default : Given(x), w, b, 1e-5, training) { Relu = relu }));

        static RunningStatistics Given(Tensor x) => new(full(x.size(1), 0.3, Statistic(x)), full(x.size(1), 1.7, Statistic(x)));
    }

    private static ScalarType Statistic(Tensor x) => x.dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32;

    private static void Hold(Op op, ScalarType dtype, Random random, string what)
    {
        using var scope = NewDisposeScope();
        manual_seed(random.Next());
        bool mixed = random.Next(3) > 0, channelsLast = op.Rank == 4 && random.Next(2) == 0;
        long[] shape = op.Rank == 2 ? [random.Next(1, 40), random.Next(8, 300)]
            : [random.Next(2, 12), 3 * random.Next(3, 30), random.Next(3, 12), random.Next(3, 20)];
        var x = (randn(shape) * 2 + 1).to(dtype);
        if (channelsLast) x = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2);
        var upstream = randn(shape).to(dtype);
        // PyTorch's rule: in mixed precision all parameters are float32. Beside float32 statistics BatchNorm's have to be.
        var ofParameters = mixed || what.Contains("eval", StringComparison.Ordinal) ? ScalarType.Float32 : dtype;
        Tensor? Parameter(bool exists) => exists ? (randn(shape[1]) + 0.5).to(ofParameters) : null;
        var weight = Parameter(random.Next(4) > 0);
        var bias = weight is null || !op.HasBias ? null : Parameter(random.Next(4) > 0);
        Tensor?[] inputs = [x, weight, bias];
        var (y, gradients) = Run(op.Apply, inputs, upstream);
        var (exact, expected) = Run(op.Apply, [.. inputs.Select(t => t?.to(ScalarType.Float64))], upstream.to(ScalarType.Float64));
        Assert.Equal(dtype, y.dtype);
        Near(exact, y, dtype, $"{what}, output");
        for (int i = 0; i < gradients.Length; i++)
        {
            if (gradients[i] is not { } gradient) continue;
            Assert.Equal(inputs[i]!.dtype, gradient.dtype);
            Near(expected[i]!, gradient, gradient.dtype, $"{what}, gradient {i}");
        }
    }

    private static (Tensor Output, Tensor?[] Gradients) Run(Norm norm, Tensor?[] inputs, Tensor upstream)
    {
        Tensor?[] leaves = [.. inputs.Select(t => t?.detach().requires_grad_())];
        var y = norm(leaves[0]!, leaves[1], leaves[2]);
        y.backward([upstream]);
        return (y.detach(), [.. leaves.Select(t => t?.grad)]);
    }

    // Half a unit in the last place of each value, and float32's tolerance of the largest.
    private static void Near(Tensor exact, Tensor actual, ScalarType dtype, string what)
    {
        double unit = dtype switch { ScalarType.BFloat16 => 1.0 / 256, ScalarType.Float16 => 1.0 / 2048, _ => 0 },
            least = dtype == ScalarType.Float16 ? 3e-8 : 0;
        var error = (actual.to(ScalarType.Float64) - exact).abs();
        var allowed = exact.abs() * unit + least + Tolerance.Float32 * Math.Max(1, exact.abs().max().item<double>());
        double worst = (error - allowed).max().item<double>();
        Assert.True(worst <= 0, $"{what}: off by {worst} more than one rounding");
    }
}

using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Normalization;

/// <summary>A norm as a function of its tensors; running statistics are changed in place.</summary>
internal delegate Tensor ChannelNorm(Tensor input, Tensor? mean, Tensor? variance, Tensor? weight, Tensor? bias);

/// <summary>What a norm gave for some arguments: output, statistics after it, gradients and, where asked for, second derivatives.</summary>
internal sealed class NormResult
{
    public Dictionary<string, Tensor> Tensors { get; } = [];

    /// <summary>Runs a norm on its own leaves over the arguments' memory and layout, with a random upstream gradient.</summary>
    public static NormResult Of(ChannelNorm norm, NormArguments a, bool second)
    {
        var result = new NormResult();
        Tensor? Leaf(Tensor? t) => t?.detach().requires_grad_(true);
        var leaves = new Dictionary<string, Tensor?> { ["input"] = Leaf(a.Input), ["weight"] = Leaf(a.Weight), ["bias"] = Leaf(a.Bias) };
        Tensor? mean = a.Mean?.clone(), variance = a.Variance?.clone();
        var upstream = Leaf(a.Upstream)!;
        var output = norm(leaves["input"]!, mean, variance, leaves["weight"], leaves["bias"]);
        result.Tensors["output"] = output;
        if (mean is not null) result.Tensors["running_mean"] = mean;
        if (variance is not null) result.Tensors["running_var"] = variance;
        string[] names = [.. leaves.Where(l => l.Value is not null).Select(l => l.Key).Take(second ? a.Directions.Length : leaves.Count)];
        var grads = autograd.grad([output], [.. names.Select(n => leaves[n]!)], [upstream], create_graph: second, retain_graph: second);
        foreach (var (name, grad) in names.Zip(grads)) result.Tensors["grad_" + name] = grad;
        if (!second) return result;

        leaves.Remove("bias"); // no gradient depends on it
        leaves["grad_output"] = upstream;
        var sources = leaves.Where(l => l.Value is not null).Select(l => (l.Key, Value: l.Value!)).ToList();
        var sum = grads.Zip(a.Directions).Select(g => (g.First * g.Second).sum()).Aggregate((p, q) => p + q);
        var seconds = autograd.grad([sum], [.. sources.Select(s => s.Value)], allow_unused: true);
        foreach (var (source, dd) in sources.Zip(seconds)) result.Tensors["dd_" + source.Key] = dd.IsInvalid ? zeros_like(source.Value) : dd;
        return result;
    }
}

/// <summary>Random arguments of a norm; everything comes from the seed in the test's name.</summary>
internal sealed record NormArguments(Tensor Input, Tensor? Mean, Tensor? Variance, Tensor? Weight, Tensor? Bias, Tensor Upstream)
{
    /// <summary>One for each of the first gradients: second derivatives are those of Σ grad·direction.</summary>
    public Tensor[] Directions { get; init; } = [];

    public static readonly string[] Layouts = ["contiguous", "channels_last", "sliced", "transposed", "expanded"];

    /// <summary>
    /// These tensors with a random upstream gradient, for a norm without statistics. Second derivatives are those of the input's gradient alone: libtorch's
    /// own layer_norm and group_norm end the process in those of the weight's and the bias's.
    /// </summary>
    public static NormArguments Of(Tensor input, Tensor? weight = null, Tensor? bias = null) =>
        new(input, null, null, weight, bias, randn_like(input, dtype: ScalarType.Float32).to(input.dtype)) { Directions = [randn_like(input)] };

    public static NormArguments Draw(int seed, int rank, string layout, ScalarType dtype, bool statistics)
    {
        manual_seed(seed);
        var random = new Random(seed);
        long[] shape = [random.Next(2, 6), random.Next(1, 6), .. Enumerable.Range(0, rank - 2).Select(_ => (long)random.Next(2, 5))];
        var input = Arrange(shape, layout, dtype, random.NextDouble() * 4 - 2, random.NextDouble() * 2 + 0.5);
        long c = shape[1];
        Tensor Draw(long[] size) => randn(size, ScalarType.Float64).to(dtype);
        bool weight = random.Next(4) > 0, bias = random.Next(4) > 0;
        var a = new NormArguments(input, statistics ? Draw([c]) : null, statistics ? (rand([c], ScalarType.Float64) + 0.5).to(dtype) : null,
            weight ? Draw([c]) : null, bias ? Draw([c]) : null, Draw(shape));
        Tensor?[] leaves = [a.Input, a.Weight, a.Bias];
        return a with { Directions = [.. leaves.OfType<Tensor>().Select(t => Draw(t.shape))] };
    }

    /// <summary>The same in another dtype, layouts kept.</summary>
    public NormArguments To(ScalarType dtype) =>
        new(Input.to(dtype), Mean?.to(dtype), Variance?.to(dtype), Weight?.to(dtype), Bias?.to(dtype), Upstream.to(dtype))
        {
            Directions = [.. Directions.Select(d => d.to(dtype))],
        };

    /// <summary>Compares every quantity of two runs; half types, where asked for, with the expected run in float32, rounded.</summary>
    public void Compare(ChannelNorm expected, ChannelNorm actual, string what, bool second, double? tolerance = null, bool rounded = false)
    {
        bool wide = rounded && Input.dtype is ScalarType.Float16 or ScalarType.BFloat16;
        var e = NormResult.Of(expected, wide ? To(ScalarType.Float32) : this, second).Tensors;
        var a = NormResult.Of(actual, this, second).Tensors;
        Assert.Equal(e.Keys, a.Keys);
        foreach (var (name, value) in e)
        {
            double? allowed = name.StartsWith("dd_", StringComparison.Ordinal) ? Tolerance.SecondDerivative : wide ? Tolerance.Of(Input.dtype) : tolerance;
            Support.Compare.Close(wide ? value.to(a[name].dtype) : value, a[name], $"{what}: {name}", allowed);
        }
        Assert.Equal(Strides(e["output"]), Strides(a["output"]));
    }

    /// <summary>The strides that mean something: a dimension of size 1 may have any.</summary>
    public static long[] Strides(Tensor t) => [.. t.stride().Zip(t.shape).Where(d => d.Second != 1).Select(d => d.First)];

    /// <summary>Random values about a mean, in a layout of <see cref="Layouts"/>; one that the rank does not have is contiguous.</summary>
    public static Tensor Arrange(long[] shape, string layout, ScalarType dtype, double mean = 0.5, double sigma = 2)
    {
        Tensor Values(params long[] size) => (randn(size, ScalarType.Float64) * sigma + mean).to(dtype);
        switch (layout)
        {
            case "sliced" when shape.Length == 1:
                return Values(2 * shape[0] + 1).slice(0, 1, 2 * shape[0] + 1, 2);
            case "expanded" when shape.Length == 1:
                return Values(1).expand(shape);
            case "channels_last" or "transposed" when shape.Length == 1:
                return Values(shape);
            case "channels_last":
                return Values([shape[0], .. shape[2..], shape[1]]).movedim([shape.Length - 1], [1]);
            case "sliced":
                return Values([shape[0], shape[1] + 2, .. shape[2..].Select(d => d + 1)])
                    [[.. shape.Select((d, i) => i == 0 ? TensorIndex.Ellipsis : TensorIndex.Slice(1, d + 1)).Skip(1).Prepend(TensorIndex.Colon)]];
            case "transposed":
                return Values([shape[1], shape[0], .. shape[2..].Reverse()])
                    .permute([1, 0, .. Enumerable.Range(2, shape.Length - 2).Reverse().Select(d => (long)d)]);
            case "expanded":
                return Values(shape.Length > 2 ? [.. shape[..^1], 1] : [shape[0], 1]).expand(shape);
            default:
                return Values(shape);
        }
    }
}

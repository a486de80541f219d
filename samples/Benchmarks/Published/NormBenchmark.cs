using BenchmarkDotNet.Attributes;
using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Published;

/// <summary>A norm's training step: forward, and backward to the input and the parameters. libtorch's module is the baseline.</summary>
public abstract class NormBenchmark
{
    private readonly List<IDisposable> _owned = [];
    private Func<Tensor, Tensor> _theirs = x => x, _ours = x => x;
    private Tensor[] _theirInputs = [], _ourInputs = [];
    private Tensor? _upstream;

    [ParamsSource(nameof(Shapes))]
    public string Shape { get; set; } = "";

    /// <summary>Sizes with × between them.</summary>
    public abstract IEnumerable<string> Shapes { get; }

    [GlobalSetup]
    public void Setup()
    {
        long[] shape = [.. Shape.Split('×').Select(long.Parse)];
        var x = Own(randn(shape, requires_grad: true));
        _upstream = Own(randn(shape));
        var (theirs, ours) = Modules(shape);
        Own(theirs);
        Own(ours);
        (_theirs, _ours) = (x => Libtorch(theirs, x), ours.forward);
        (_theirInputs, _ourInputs) = ([x, .. theirs.parameters()], [x, .. ours.parameters()]);
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        foreach (var owned in _owned) owned.Dispose();
        _owned.Clear();
    }

    [Benchmark(Baseline = true)]
    public void Libtorch() => Step(_theirs, _theirInputs);

    [Benchmark]
    public void TorchStab() => Step(_ours, _ourInputs);

    /// <summary>The two sides for inputs of a shape.</summary>
    private protected abstract (nn.Module<Tensor, Tensor> Theirs, nn.Module<Tensor, Tensor> Ours) Modules(long[] shape);

    /// <summary>The baseline's forward pass.</summary>
    private protected virtual Tensor Libtorch(nn.Module<Tensor, Tensor> module, Tensor x) => module.forward(x);

    private void Step(Func<Tensor, Tensor> norm, Tensor[] inputs)
    {
        using var y = norm(inputs[0]);
        foreach (var gradient in autograd.grad([y], inputs, [_upstream!])) gradient.Dispose();
    }

    private T Own<T>(T owned) where T : IDisposable
    {
        _owned.Add(owned);
        return owned;
    }
}

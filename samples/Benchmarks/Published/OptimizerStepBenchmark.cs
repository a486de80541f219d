using BenchmarkDotNet.Attributes;
using TorchSharp.Modules;
using TorchStab.Benchmarks.Comparisons;
using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Published;

/// <summary>Clip by the global norm and step with Adam.</summary>
public class OptimizerStepBenchmark
{
    private List<Parameter> _theirs = [], _ours = [];
    private optim.Optimizer? _libtorch, _stab;

    [Params("200 × 64×64", "ResNet-18")]
    public string Parameters { get; set; } = "";

    [GlobalSetup]
    public void Setup()
    {
        var shapes = Parameters == "ResNet-18" ? ParameterLists.ResNet18() : ParameterLists.Same(200, 64, 64);
        (_theirs, _ours) = (ParameterLists.WithGradients(shapes, 1), ParameterLists.WithGradients(shapes, 1));
        (_libtorch, _stab) = (optim.Adam(_theirs), stab.optim.Adam(_ours, global_clipnorm: 1));
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        _libtorch?.Dispose();
        _stab?.Dispose();
        foreach (var p in _theirs.Concat(_ours)) p.Dispose();
    }

    [Benchmark(Baseline = true, Description = "clip_grad_norm_ and torch.optim.Adam")]
    public void Libtorch()
    {
        nn.utils.clip_grad_norm_(_theirs, 1);
        _libtorch!.step();
    }

    [Benchmark(Description = "stab.optim.Adam(global_clipnorm: 1)")]
    public void TorchStab() => _stab!.step();
}

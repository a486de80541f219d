using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Comparisons;

/// <summary>The same parameters twice, with torch.optim's optimizer and with ours.</summary>
internal sealed class OptimizerSides : IDisposable
{
    private const double MaxNorm = 1, Agreement = 1e-5;

    private readonly string _name;
    private readonly List<Parameter> _theirs, _mine;
    private readonly Func<optim.Optimizer> _newLibtorch, _newOurs;
    private readonly optim.Optimizer _libtorch, _ours;

    public OptimizerSides(string name, List<long[]> shapes, Func<IEnumerable<Parameter>, optim.Optimizer> libtorch,
        Func<IEnumerable<Parameter>, double, optim.Optimizer> ours)
    {
        _name = name;
        _theirs = ParameterLists.WithGradients(shapes, 1);
        _mine = ParameterLists.WithGradients(shapes, 1);
        _newLibtorch = () => libtorch(_theirs);
        _newOurs = () => ours(_mine, MaxNorm);
        _libtorch = _newLibtorch();
        _ours = _newOurs();
    }

    public long Elements => ParameterLists.Elements(_mine);

    public void Libtorch() => ClipAndStep(_libtorch);

    public void Ours() => _ours.step();

    public void Verify()
    {
        Libtorch();
        Ours();
        ParameterLists.RequireSame(_name, _theirs, _mine, Agreement);
    }

    /// <summary>Of a new optimizer's first two steps: state and temporaries.</summary>
    public (long Libtorch, long Ours)? Peak()
    {
        long? libtorch = PeakMemory.Of(() => Twice(_newLibtorch, ClipAndStep)), ours = PeakMemory.Of(() => Twice(_newOurs, o => o.step()));
        return libtorch is { } a && ours is { } b ? (a, b) : null;
    }

    public void Dispose()
    {
        _libtorch.Dispose();
        _ours.Dispose();
        foreach (var parameter in _theirs.Concat(_mine)) parameter.Dispose();
    }

    private static void Twice(Func<optim.Optimizer> make, Action<optim.Optimizer> step)
    {
        using var optimizer = make();
        step(optimizer);
        step(optimizer);
    }

    private void ClipAndStep(optim.Optimizer optimizer)
    {
        nn.utils.clip_grad_norm_(_theirs, MaxNorm);
        optimizer.step();
    }
}

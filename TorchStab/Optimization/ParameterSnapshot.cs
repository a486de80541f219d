using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Optimization;

/// <summary>A copy of the parameters' values, from which they can be restored.</summary>
internal sealed class ParameterSnapshot : IDisposable
{
    private readonly List<(Parameter Parameter, Tensor Value)> _values;

    public ParameterSnapshot(IEnumerable<Parameter> parameters)
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        _values = [.. parameters.Select(p => (p, p.detach().clone().DetachFromDisposeScope()))];
    }

    public void Restore()
    {
        using var _ = no_grad();
        foreach (var (parameter, value) in _values) parameter.copy_(value);
    }

    public void Dispose()
    {
        foreach (var (_, value) in _values) value.Dispose();
    }
}

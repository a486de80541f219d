using static TorchSharp.torch;
using Layer = TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor>;

namespace TorchStab.Initialization;

/// <summary>
/// Runs a model once and sees which function takes each layer's output. Hooks put noise in the place of the outputs of layers and norms, so that each is
/// known again by its values, whatever the weights are, where it arrives: at a function's module, or at the next layer after a function that was
/// called without one. What a module runs by <c>forward</c> fires no hook and stays unseen.
/// </summary>
internal sealed class ActivationRun : IDisposable
{
    /// <summary>An output that nothing has taken yet, and the layers that it comes from.</summary>
    private sealed record Output(IReadOnlyList<nn.Module> Layers, Tensor Values, Fingerprint Print, long[] Shape);

    private readonly Dictionary<nn.Module, Activation?> _after = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<nn.Module, IReadOnlyList<nn.Module>> _through = new(ReferenceEqualityComparer.Instance);
    private readonly List<Output> _open = [];
    private readonly List<Fingerprint> _known = [];
    private readonly List<Action> _unhook = [];
    private readonly Generator _noise = new(20150206);

    private ActivationRun() { }

    /// <summary>What follows each layer whose output was seen to arrive somewhere; null where no function lies between.</summary>
    public static Dictionary<nn.Module, Activation?> After(List<ModuleNode> nodes, Action run)
    {
        using var watch = new ActivationRun();
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var root = nodes[0].Module as Layer;
        if (root is not null) watch.Before(root, input => watch._known.Add(Fingerprint.Of(input)));
        foreach (var node in nodes) watch.Hook(node.Module);
        if (root is not null) watch.After(root, output => watch.Found(watch.Take(output), null));
        ModuleTree.InEvaluation(nodes, run);
        return watch._after;
    }

    public void Dispose()
    {
        _unhook.ForEach(remove => remove());
        _open.ForEach(o => o.Values.Dispose());
        _noise.Dispose();
    }

    private void Hook(nn.Module module)
    {
        if (module is not Layer layer) return;
        if (Activation.Of(module) is { } function)
        {
            Before(layer, input => Found(Take(input), function with { How = Activation.InTheRun }));
            After(layer, output => _known.Add(Fingerprint.Of(output)));
        }
        else if (LayerKind.IsTransparent(module))
        {
            Before(layer, input => _through[layer] = Take(input));
            Replace(layer, () => _through[layer]);
        }
        else if (!module.children().Any())
        {
            if (module.parameters().Any()) Before(layer, input => Found(Take(input), null));
            if (LayerKind.IsLinearOrConvolution(module)) Replace(layer, () => [layer]);
        }
    }

    private void Before(Layer layer, Action<Tensor> see) => _unhook.Add(layer.register_forward_pre_hook((_, input) =>
    {
        see(input);
        return input;
    }).remove);

    private void After(Layer layer, Action<Tensor> see) => _unhook.Add(layer.register_forward_hook((_, _, output) =>
    {
        see(output);
        return output;
    }).remove);

    private void Replace(Layer layer, Func<IReadOnlyList<nn.Module>> layers) => _unhook.Add(layer.register_forward_hook((_, _, output) =>
    {
        if (layers() is not { Count: > 0 } from || !output.is_floating_point())
        {
            _known.Add(Fingerprint.Of(output));
            return output;
        }

        using var values = randn(output.shape, ScalarType.Float32, CPU, generator: _noise);
        var noise = empty_like(output).copy_(values);
        _open.Add(new(from, noise.clone().DetachFromDisposeScope(), Fingerprint.Of(noise), noise.shape));
        return noise;
    }).remove);

    private void Found(IReadOnlyList<nn.Module> layers, Activation? function)
    {
        foreach (var layer in layers)
            if (_after.GetValueOrDefault(layer) is null) _after[layer] = function;
    }

    /// <summary>Looks where a module's input comes from: the layers of which it is the output, untouched or by way of what no function shows itself in.</summary>
    private IReadOnlyList<nn.Module> Take(Tensor input)
    {
        if (!input.is_floating_point()) return [];
        var print = Fingerprint.Of(input);
        double tolerance = Math.Clamp(finfo(input.dtype).eps * 64, 1e-9, 5e-3); // half types round coarsely, but the same numbers in the same way
        if (_open.FindLast(o => o.Print.IsNear(print, tolerance)) is { } same) return Close([same]);
        if (_known.Exists(k => k.IsNear(print, tolerance))) return [];
        _known.Add(print);
        foreach (var output in Enumerable.Reverse(_open))
            if (FunctionSearch.Of(output.Values, output.Print, print, tolerance) is { } function) return Used([output], function);
        foreach (var output in Enumerable.Reverse(_open))
            foreach (var other in _open.Where(o => o != output && o.Print.Count == print.Count && o.Shape.AsSpan().SequenceEqual(output.Shape)))
                if (FunctionSearch.OfGate(output.Values, other.Values, print, tolerance) is { } gate) return Gated(output, gate, other);
        var parts = Parts(input.shape);
        return FunctionSearch.ByRange(print) is { } shown ? Used(parts, shown) : Close(parts);
    }

    /// <summary>What may have gone into an input of this shape: a sum of equals, else a concatenation or pooling, else all that is left.</summary>
    private List<Output> Parts(long[] shape)
    {
        var equal = _open.FindAll(o => o.Shape.AsSpan().SequenceEqual(shape));
        if (equal.Count > 0) return equal;
        var alike = _open.FindAll(o => o.Shape.Length == shape.Length && o.Shape[0] == shape[0]);
        return alike.Count > 0 ? alike : [.. _open];
    }

    private IReadOnlyList<nn.Module> Gated(Output gate, Activation function, Output gated)
    {
        Found(Close([gated]), null);
        return Used([gate], function);
    }

    private IReadOnlyList<nn.Module> Used(List<Output> outputs, Activation function)
    {
        Found(Close(outputs), function);
        return [];
    }

    private List<nn.Module> Close(List<Output> outputs)
    {
        foreach (var output in outputs)
        {
            _open.Remove(output);
            _known.Add(output.Print);
            output.Values.Dispose();
        }

        return [.. outputs.SelectMany(o => o.Layers)];
    }
}

using static TorchSharp.torch;
using Layer = TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor>;

namespace TorchStab.Initialization;

/// <summary>
/// Runs a model once to find the function that is applied to each layer's output. Hooks replace the outputs of layers and norms by noise. The noise
/// identifies an output, whatever the weights are, when it becomes the input of an activation module, or of the next layer after a function that was
/// called without a module. Layers that a module runs by <c>forward</c> have no hooks, and are not found.
/// </summary>
internal sealed class ActivationRun : IDisposable
{
    /// <summary>An output that has not become another module's input yet, and the layers that made it.</summary>
    private sealed record Output(IReadOnlyList<nn.Module> Layers, Tensor Values, Fingerprint Print, long[] Shape);

    private readonly Dictionary<nn.Module, Activation?> _after = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<nn.Module, IReadOnlyList<nn.Module>> _through = new(ReferenceEqualityComparer.Instance);
    private readonly List<Output> _pending = [];
    private readonly List<Fingerprint> _known = [];
    private readonly List<Action> _unhook = [];
    private readonly Generator _noise = new(20150206);

    private ActivationRun() { }

    /// <summary>The function after each layer whose output became another module's input; null if no function was applied in between.</summary>
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
        _pending.ForEach(o => o.Values.Dispose());
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
        else if (!module.children().Any() || module is TorchStab.Modules.Parametrized)
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
        _pending.Add(new(from, noise.clone().DetachFromDisposeScope(), Fingerprint.Of(noise), noise.shape));
        return noise;
    }).remove);

    private void Found(IReadOnlyList<nn.Module> layers, Activation? function)
    {
        foreach (var layer in layers)
            if (_after.GetValueOrDefault(layer) is null) _after[layer] = function;
    }

    /// <summary>
    /// Finds the origin of a module's input. Returns the layers whose output it is, directly or through operations without an activation function; if a
    /// function was applied, records it and returns no layers.
    /// </summary>
    private IReadOnlyList<nn.Module> Take(Tensor input)
    {
        if (!input.is_floating_point()) return [];
        var print = Fingerprint.Of(input);
        double tolerance = Math.Clamp(finfo(input.dtype).eps * 64, 1e-9, 5e-3); // half types round coarsely, but equal numbers equally
        if (_pending.FindLast(o => o.Print.IsNear(print, tolerance)) is { } same) return Close([same]);
        if (_known.Exists(k => k.IsNear(print, tolerance))) return [];
        _known.Add(print);
        foreach (var output in Enumerable.Reverse(_pending))
            if (FunctionSearch.Of(output.Values, output.Print, print, tolerance) is { } function) return Used([output], function);
        foreach (var output in Enumerable.Reverse(_pending))
            foreach (var other in _pending.Where(o => o != output && o.Print.Count == print.Count && o.Shape.AsSpan().SequenceEqual(output.Shape)))
                if (FunctionSearch.OfGate(output.Values, other.Values, print, tolerance) is { } gate) return Gated(output, gate, other);
        var parts = Parts(input.shape);
        return FunctionSearch.ByRange(print) is { } shown ? Used(parts, shown) : Close(parts);
    }

    /// <summary>The outputs that an input of this shape may consist of: those of its shape (a sum), else those of its rank and batch, else all.</summary>
    private List<Output> Parts(long[] shape)
    {
        var sameShape = _pending.FindAll(o => o.Shape.AsSpan().SequenceEqual(shape));
        if (sameShape.Count > 0) return sameShape;
        var sameBatch = _pending.FindAll(o => o.Shape.Length == shape.Length && o.Shape[0] == shape[0]);
        return sameBatch.Count > 0 ? sameBatch : [.. _pending];
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
            _pending.Remove(output);
            _known.Add(output.Print);
            output.Values.Dispose();
        }

        return [.. outputs.SelectMany(o => o.Layers)];
    }
}

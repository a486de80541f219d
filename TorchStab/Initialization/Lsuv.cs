using TorchStab.Dispatch;
using TorchStab.Modules;
using static TorchSharp.torch;
using static TorchStab.Scalars;
using Layer = TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor>;
using Remover = TorchSharp.torch.nn.HookableModule<
    System.Func<TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor>, TorchSharp.torch.Tensor, TorchSharp.torch.Tensor>,
    System.Func<TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor>, TorchSharp.torch.Tensor, TorchSharp.torch.Tensor,
        TorchSharp.torch.Tensor>>.HookRemover;

namespace TorchStab.Initialization;

/// <summary>
/// Layer-sequential unit-variance initialization, in a single forward pass. A hook on each layer rescales the weight and runs the layer again on the same
/// input until the output's variance is 1, and returns the new output. So the inputs of the next layer do not change any more when it is measured.
/// </summary>
internal sealed class Lsuv
{
    private readonly double _tolerance;
    private readonly int _maxIterations;
    private readonly Dictionary<nn.Module, string> _pending = new(ReferenceEqualityComparer.Instance);
    private readonly List<LsuvEntry> _entries = [];

    // The first layer that uses each weight: rescaling a weight for a second layer would change the first one's variance.
    private readonly Dictionary<ParameterIdentity, string> _owners = [];

    private Lsuv(double tolerance, int maxIterations) => (_tolerance, _maxIterations) = (tolerance, maxIterations);

    public static LsuvReport Run(nn.Module model, Tensor batch, double tol, int max_iterations, Generator? generator)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(batch);
        if (batch.NumberOfElements == 0) throw new ArgumentException($"batch is empty: got shape {Repr.List(batch.shape)}", nameof(batch));
        if (model is not Layer callable)
        {
            throw new ArgumentException($"{model.GetType().Name} does not take one tensor and return one; "
                + "use the overload with an action that runs the model", nameof(model));
        }

        ModuleTree.RequireValues(model, batch, "the batch", KernelSelection.HasMemory(batch) ? nameof(model) : nameof(batch),
            "move it to a device that has memory first");
        return Run(model, () => callable.call(batch), tol, max_iterations, generator);
    }

    public static LsuvReport Run(nn.Module model, Action run, double tol, int max_iterations, Generator? generator)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(run);
        if (!(tol > 0)) throw new ArgumentException($"tol must be positive, got {InitArguments.Cpp(tol)}", nameof(tol));
        if (max_iterations < 1)
            throw new ArgumentException(FormattableString.Invariant($"max_iterations must be at least 1, got {max_iterations}"), nameof(max_iterations));
        ModuleTree.RequireValues(model, null, "", nameof(model), "move it to a device that has memory first");
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        return new Lsuv(tol, max_iterations).Run(ModuleTree.Nodes(model), run, generator);
    }

    private LsuvReport Run(List<ModuleNode> nodes, Action run, Generator? generator)
    {
        var hooks = new List<Remover>();
        var parameters = nodes.SelectMany(n => LayerKind.Parameters(n.Module)).Select(p => p.Parameter).Where(p => p.requires_grad)
            .DistinctBy(p => ParameterIdentity.Of(p));
        List<(Tensor Parameter, Tensor Value)> before = [.. parameters.Select(p => ((Tensor)p, p.detach().clone()))];
        try
        {
            foreach (var node in nodes.Where(n => !LayerKind.IsLinearOrConvolution(n.Module)))
                foreach (var (name, _, parameter) in LayerKind.Parameters(node.Module)) _owners.TryAdd(ParameterIdentity.Of(parameter), node.NameOf(name));
            var filled = new HashSet<ParameterIdentity>();
            foreach (var node in nodes.Where(n => LayerKind.IsLinearOrConvolution(n.Module)))
            {
                Start(node.Module, filled, generator);
                _pending.Add(node.Module, node.Name.Length == 0 ? node.Module.GetType().Name : node.Name);
                hooks.Add(((Layer)node.Module).register_forward_hook(Fit));
            }

            ModuleTree.InEvaluation(nodes, run);
            return new(_entries, [.. _pending.Values]) { Notes = [.. UnregisteredModules.Of(nodes).Select(m => m.ToString())] };
        }
        catch
        {
            foreach (var (parameter, value) in before) parameter.copy_(value); // the run failed; the model is as it was
            throw;
        }
        finally
        {
            hooks.ForEach(h => h.remove());
        }
    }

    private static void Start(nn.Module layer, HashSet<ParameterIdentity> filled, Generator? generator)
    {
        foreach (var (name, _, parameter) in LayerKind.Parameters(layer))
        {
            if (!filled.Add(ParameterIdentity.Of(parameter)) || !parameter.requires_grad) continue;
            if (name == "weight") Orthogonal.Fill(parameter, 1, generator);
            else Constant.Fill(parameter, 0);
            LayerKind.ComputationOf(layer, name)?.Follow();
        }
    }

    /// <summary>The hook: rescales the layer until its output has unit variance, and returns that output. Ignores further calls of the layer.</summary>
    private Tensor Fit(Layer layer, Tensor input, Tensor output)
    {
        if (!_pending.Remove(layer, out string? name)) return output;
        var weight = LayerKind.Weight(layer);
        double before = Variance(output), variance = before;
        string owner = _owners.GetValueOrDefault(ParameterIdentity.Of(weight), name);
        _owners[ParameterIdentity.Of(weight)] = owner;
        int i = 0;
        for (; owner == name && weight.requires_grad && i < _maxIterations && IsUsable(variance) && Math.Abs(variance - 1) > _tolerance; i++)
        {
            if (layer is not Parametrized p) weight.div_(Held(Math.Sqrt(variance)));
            else if (!p.parametrization.TryScale(1 / Math.Sqrt(variance))) break;
            output.Dispose();
            output = layer.forward(input);
            variance = Variance(output);
        }

        _entries.Add(new(name, before, variance, i, Math.Abs(variance - 1) <= _tolerance) { SharesWeightOf = owner == name ? null : owner });
        return output;
    }

    private static bool IsUsable(double variance) => variance > 0 && double.IsFinite(variance);

    // TorchSharp's var() ignores `unbiased` unless dimensions are given.
    private static Tensor VarianceOf(Tensor x) => x.flatten().var([0], unbiased: false);

    private static double Variance(Tensor output)
    {
        using var scope = NewDisposeScope();
        var x = output.dtype == ScalarType.Float64 ? output : output.to(ScalarType.Float32);
        // Of values whose squares leave float32, as a second look: var(x) = m² · var(x / m) with m = max |x|.
        var m = x.abs().max();
        double[] read = DeviceNumbers.Read([VarianceOf(x), m]);
        return IsUsable(read[0]) || !IsUsable(read[1]) ? read[0] : DeviceNumbers.Read([VarianceOf(x / m)])[0] * read[1] * read[1];
    }
}

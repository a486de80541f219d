using TorchSharp;
using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>remove_parametrizations: the layer as it was before, with the weight that it has now.</summary>
internal static class ParametrizationRemoval
{
    public static nn.Module Remove(nn.Module module, string name)
    {
        ArgumentNullException.ThrowIfNull(module);
        ArgumentNullException.ThrowIfNull(name);
        TorchSharpInternals.RequireReflection(System.Runtime.CompilerServices.RuntimeFeature.IsDynamicCodeSupported);
        SurgeryCheck.RequireAlive(module, "");
        if (module is Parametrized root && Computes(root, name))
        {
            GiveBack(root, root.Layer);
            return root.Layer;
        }
        var plan = new SurgeryPlan(module);
        foreach (var node in plan.Nodes.Where(n => n.Module is IParametrized p && Computes(p, name)))
        {
            if (node.Module is Parametrized p) plan.TryReplace(node, p.Layer.GetType(), NormNames.Of(p.Layer), () => p.Layer);
            else plan.Alter(node, NormNames.Of(node.Module));
        }
        if (plan.Refusals.Count > 0) throw new InvalidOperationException("the model is unchanged, because not every layer can be put "
            + $"back:\n{new SurgeryReport([], plan.Refusals)}");
        var report = plan.Commit((old, now) => Finish(old, now, name));
        return report.Changes.Count > 0 ? module
            : throw new ArgumentException($"Module {module.GetName()} does not have a parametrization on {name}", nameof(name));
    }

    private static bool Computes(IParametrized module, string name) => module.Parametrizations.Any(p => p.Name == name);

    private static void Finish(nn.Module old, nn.Module now, string name)
    {
        if (old is Parametrized p) GiveBack(p, p.Layer);
        else ((IParametrizable)now).Unparametrize(name);
    }

    private static void GiveBack(Parametrized twin, nn.Module<Tensor, Tensor> layer)
    {
        bool training = twin.training;
        var (weight, bias) = twin.Release();
        if (layer is TorchSharp.Modules.Embedding embedding) embedding.weight = weight;
        else TorchSharpInternals.Adopt(layer, "weight", weight);
        if (bias is not null) TorchSharpInternals.Adopt(layer, "bias", bias);
        layer.to(weight.device, weight.dtype);
        layer.train(training);
        TorchSharpInternals.ShareHooks(twin, layer);
        twin.Dispose();
    }
}

using TorchSharp.Modules;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Clipping;

/// <summary>PyTorch's clipping functions, which change gradients in place.</summary>
internal static class GradientClipping
{
    public static double ClipNorm(IEnumerable<Parameter> parameters, double maxNorm, double normType, bool errorIfNonfinite)
    {
        Numbers.Threshold(maxNorm, "max_norm");
        Numbers.Order(normType, "norm_type");
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        using var gradients = GradientSet.Of(parameters);
        double total = gradients.TotalNorm(normType);
        RequireFinite(total, normType, errorIfNonfinite);
        Scale(gradients, maxNorm, total);
        return total;
    }

    public static double TotalNorm(IEnumerable<Tensor> tensors, double normType, bool errorIfNonfinite)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        Numbers.Order(normType, "norm_type");
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var list = tensors.ToList();
        foreach (var t in list)
        {
            GradientCheck.Dense(t ?? throw new ArgumentException("expected tensors, got null among them", nameof(tensors)), "a tensor");
            if (!t.is_floating_point()) throw new ArgumentException($"expected tensors of floating dtypes, got {t.dtype}", nameof(tensors));
        }
        double total = GradientNorms.Total(GradientNorms.Of([.. list.DistinctBy(ParameterIdentity.OfLeaf)], normType), normType);
        RequireFinite(total, normType, errorIfNonfinite);
        return total;
    }

    public static void ClipWithNorm(IEnumerable<Parameter> parameters, double maxNorm, double totalNorm)
    {
        Numbers.Threshold(maxNorm, "max_norm");
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        using var gradients = GradientSet.Of(parameters);
        Scale(gradients, maxNorm, totalNorm);
    }

    public static void ClipValue(IEnumerable<Parameter> parameters, double clipValue)
    {
        Numbers.Threshold(clipValue, "clip_value");
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        using var gradients = GradientSet.Of(parameters);
        gradients.Apply(new(0, 1, new(1, clipValue)));
    }

    private static void Scale(GradientSet gradients, double maxNorm, double totalNorm) =>
        gradients.Apply(ClipDecision.Uniform(totalNorm, GlobalNormClip.Scale(totalNorm, maxNorm, 1e-6)));

    private static void RequireFinite(double total, double normType, bool errorIfNonfinite)
    {
        if (errorIfNonfinite && !double.IsFinite(total))
            throw new InvalidOperationException($"The total norm of order {Repr.Of(normType)} for gradients from `parameters` is non-finite, so it cannot be " +
                "clipped. To disable this error and scale the gradients by the non-finite norm anyway, set `error_if_nonfinite=False`");
    }
}

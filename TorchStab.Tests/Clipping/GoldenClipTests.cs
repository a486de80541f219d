using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Clipping;

/// <summary>The golden suite <c>clip</c>: gradients before, after, and the returned norm, as PyTorch and Keras compute them.</summary>
public class GoldenClipTests : InOneForm
{
    public GoldenClipTests() : base(null) { }

    private protected GoldenClipTests(KernelForm form) : base(form) { }

    public static TheoryData<string> Cases => GoldenSuite.Ids("clip");

    [Theory]
    [MemberData(nameof(Cases))]
    public void Case(string label)
    {
        var c = GoldenSuite.Find("clip", label);
        using var scope = NewDisposeScope();
        var parameters = Parameters(c);
        if (c.ExpectsError)
        {
            var error = Assert.Throws<InvalidOperationException>(() => Clip(c, parameters));
            Assert.Contains(c.ErrorMessage, error.Message);
        }
        else
        {
            double norm = Clip(c, parameters);
            if (c.Has("total_norm")) c.Check("total_norm", tensor(norm, ScalarType.Float64));
        }
        for (int k = 0; k < parameters.Count; k++)
        {
            Assert.Equal(c.Has($"grad_p{k}"), parameters[k].grad is not null);
            if (!c.Has($"after_p{k}")) continue;
            if (c.ExpectsError) Compare.Identical(c[$"after_p{k}"], parameters[k].grad!, $"after_p{k}");
            else c.Check($"after_p{k}", parameters[k].grad);
        }
    }

    private static double Clip(GoldenCase c, List<Parameter> parameters) => c.Op switch
    {
        "clip_grad_norm_" => stab.nn.utils.clip_grad_norm_(parameters, c.Number("max_norm")!.Value, c.Number("norm_type")!.Value, c.Flag("error_if_nonfinite")),
        "clip_grad_value_" => Value(parameters, c.Number("clip_value")!.Value),
        "keras_clipvalue" => GradientClip.ByValue(c.Number("clipvalue")!.Value).Apply(parameters).GradNorm,
        "keras_clipnorm" => stab.nn.utils.clip_grad_norm_per_parameter_(parameters, c.Number("clipnorm")!.Value),
        "keras_global_clipnorm" => GradientClip.ByGlobalNorm(c.Number("global_clipnorm")!.Value, 2, 0).Apply(parameters).GradNorm,
        "agc" => stab.nn.utils.adaptive_clip_grad_(parameters, c.Number("clip_factor")!.Value, c.Number("eps")!.Value),
        _ => throw new NotSupportedException(c.Op),
    };

    private static double Value(List<Parameter> parameters, double bound)
    {
        stab.nn.utils.clip_grad_value_(parameters, bound);
        return 0;
    }

    private static List<Parameter> Parameters(GoldenCase c)
    {
        int count = c.Json.TryGetProperty("num_params", out var n) ? n.GetInt32() : c.Roles.Count(r => r.StartsWith("grad_p", StringComparison.Ordinal));
        return [.. Enumerable.Range(0, count).Select(k => Parameter(c, k))];
    }

    private static Parameter Parameter(GoldenCase c, int k)
    {
        var gradient = c.Optional($"grad_p{k}");
        var p = new Parameter((c.Optional($"param_p{k}") ?? (gradient is null ? zeros(2) : zeros_like(gradient))).clone());
        if (gradient is not null) p.grad = gradient.clone();
        return p;
    }
}

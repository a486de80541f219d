using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Clipping;

/// <summary>Clipping in place that is refused because of the last gradient leaves the first as it is.</summary>
public class RefusedClipTests
{
    private static readonly Dictionary<string, (string words, Func<Tensor> gradient)> Faults = new()
    {
        ["another shape"] = ("data of a different size: expected [2, 3], got [3, 2]", () => full(3, 2, 9f)),
        ["complex"] = ("data of a different type", () => complex(full(2, 3, 9f), full(2, 3, 9f))),
        ["integers"] = ("data of a different type", () => full(2, 3, 9L, ScalarType.Int64)),
        ["expanded"] = ("single memory location", () => full(1, 9f).expand(2, 3)),
        ["of inference mode"] = ("Inplace update to inference tensor outside InferenceMode", OfInferenceMode),
    };

    private static readonly Dictionary<string, Action<Parameter[]>> Ways = new()
    {
        ["clip_grad_norm_"] = p => stab.nn.utils.clip_grad_norm_(p, 1),
        ["clip_grads_with_norm_"] = p => stab.nn.utils.clip_grads_with_norm_(p, 1, 5),
        ["clip_grad_value_"] = p => stab.nn.utils.clip_grad_value_(p, 0.5),
        ["clip_grad_norm_per_parameter_"] = p => stab.nn.utils.clip_grad_norm_per_parameter_(p, 0.5),
        ["adaptive_clip_grad_"] = p => stab.nn.utils.adaptive_clip_grad_(p),
        ["a rule"] = p => GradientClip.ByBlockRms(0.1).Apply(p),
        ["ClippedOptimizer"] = p =>
        {
            using var optimizer = stab.optim.ClippedOptimizer(optim.SGD(p, 0.1), GradientClip.ByGlobalNorm(1));
            optimizer.step();
        },
        ["WriteBackClippedGrads"] = p =>
        {
            using var optimizer = stab.optim.SGD(p, 0.1, global_clipnorm: 1);
            optimizer.WriteBackClippedGrads = true;
            optimizer.step();
        },
    };

    public static TheoryData<string, string> Cases
    {
        get
        {
            var cases = new TheoryData<string, string>();
            foreach (string fault in Faults.Keys)
                foreach (string way in Ways.Keys) cases.Add(fault, way);
            return cases;
        }
    }

    [Theory, MemberData(nameof(Cases))]
    public void A_gradient_that_cannot_be_clipped_leaves_the_others_alone(string fault, string way)
    {
        using var scope = NewDisposeScope();
        Parameter[] p = [Make.Parameter(full(2, 3, 9f)), Make.Parameter(full(2, 3, 9f))];
        p[1].grad = Faults[fault].gradient();
        Assert.Contains(Faults[fault].words, Assert.Throws<InvalidOperationException>(() => Ways[way](p)).Message, StringComparison.Ordinal);
        Compare.Identical(full(2, 3, 9f), p[0].grad!, "gradient");
        Compare.Identical(ones(2, 3), p[0], "parameter");
    }

    [Fact]
    public void What_the_inner_optimizer_could_not_write_is_refused_before_gradients_are_clipped()
    {
        using var scope = NewDisposeScope();
        Parameter[] p = [Make.Parameter(full(2, 3, 9f)), Make.Parameter(full(2, 3, 9f))];
        using (no_grad()) p[1].set_(ones(1).expand(2, 3));
        foreach (var inner in new Func<optim.Optimizer>[] { () => optim.Adam(p), () => stab.optim.Adam(p) })
        {
            using var optimizer = stab.optim.ClippedOptimizer(inner(), GradientClip.ByGlobalNorm(1));
            Assert.Contains("single memory location", Assert.Throws<InvalidOperationException>(() => optimizer.step()).Message, StringComparison.Ordinal);
            Compare.Identical(full(2, 3, 9f), p[0].grad!, "gradient");
            Assert.Equal(0, optimizer.Counters.Steps);
        }
    }

    private static Tensor OfInferenceMode()
    {
        using var mode = inference_mode();
        return full(2, 3, 9f);
    }

    [Fact]
    public void A_parameter_that_is_gone_is_named()
    {
        using var scope = NewDisposeScope();
        Parameter[] p = [Make.Parameter(ones(2)), Make.Parameter(ones(2))];
        p[1].Dispose();
        var error = Assert.Throws<ArgumentException>("parameters", () => stab.nn.utils.clip_grad_norm_(p, 1));
        Assert.Contains("parameter 1 no longer exists", error.Message, StringComparison.Ordinal);
    }
}

using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Audit.Probes;

internal static class ClippingDefects
{
    public static IReadOnlyList<Defect> All { get; } =
    [
        new("a negative max_norm turns gradients around", "stab.nn.utils.clip_grad_norm_: an error", Negative),
        new("float16 gradients are clipped to zero", "stab.nn.utils.clip_grad_norm_: norms in float32", Half),
        new("the norm of order 0 counts tensors", "stab.nn.utils.clip_grad_norm_(norm_type: 0)", OrderZero),
        new("no error_if_nonfinite", "stab.nn.utils.clip_grad_norm_(error_if_nonfinite), NonFinitePolicy", NonFinite),
    ];

    private static string? Negative()
    {
        var p = WithGradient(tensor(new[] { 2f }));
        try
        {
            nn.utils.clip_grad_norm_([p], -1);
        }
        catch (Exception)
        {
            return null;
        }
        float after = p.grad!.item<float>();
        return after < 0 ? $"2 became {after:0.0}" : null;
    }

    private static string? Half()
    {
        var p = WithGradient(full([9], 30_000, ScalarType.Float16));
        double norm = nn.utils.clip_grad_norm_([p], 1);
        float largest = p.grad!.to(ScalarType.Float32).abs().max().item<float>();
        return largest > 0 ? null : $"a norm of 90,000 is {norm}, its gradients are 0";
    }

    private static string? OrderZero()
    {
        double norm = nn.utils.clip_grad_norm_([WithGradient(ones(3)), WithGradient(zeros(3))], 10, 0);
        return norm == 1 ? null : $"{norm:0} for one gradient of zeros and one other";
    }

    private static string? NonFinite() =>
        typeof(nn.utils).GetMethods().Where(m => m.Name == nameof(nn.utils.clip_grad_norm_))
            .Any(m => m.GetParameters().Any(p => p.Name == "error_if_nonfinite"))
            ? null : "no such argument";

    private static Parameter WithGradient(Tensor gradient) => new(zeros_like(gradient)) { grad = gradient };
}

using System.Runtime.InteropServices;
using TorchStab.Dispatch;
using TorchStab.Kernels;
using TorchStab.Modules;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Optimization;

/// <summary>The update of RMSprop: the only code that writes its parameters and moments.</summary>
internal static class RMSpropUpdate
{
    public static void Apply(RMSprop.Options options, List<ParameterUpdate> updates)
    {
        var pass = StepLaunch<RMSpropKernel, RMSpropArguments>.Start();
        FusedStep? fused = null;
        foreach (ref readonly var update in CollectionsMarshal.AsSpan(updates))
        {
            var state = (RMSprop.State)update.State;
            state.step++;
            var memory = update.Memory(options);
            if (update.IsUniform && pass.TryAdd(Arguments(options, update, memory.State0.Dtype), memory)) continue;
            fused ??= Fused(options);
            if (!update.TryAdd(fused, memory, age: 1)) TensorForm(options, update);
        }
        pass.Run();
        fused?.Run();
        GC.KeepAlive(updates);
    }

    /// <summary>
    /// v ← αv + (1−α)g², d = √v + ε, or √(v − m²) + ε with m ← αm + (1−α)g if centered; p ← p − lr · g/d, or with momentum
    /// b ← μb + g/d and p ← p − lr · b; g is the clipped gradient plus λp.
    /// </summary>
    private static void TensorForm(RMSprop.Options o, in ParameterUpdate update)
    {
        var state = (RMSprop.State)update.State;
        double lr = o.LearningRate!.Value, decay = o.weight_decay!.Value, alpha = o.alpha!.Value;
        using var step = new TensorStep(update, state.square_avg.dtype, o.maximize);
        Tensor p = step.Parameter, g = step.Gradient;
        if (decay != 0) g = g.add(p, alpha: Held(decay));
        var v = step.Open(state.square_avg).mul_(Held(alpha)).addcmul_(g, g, value: Held(1 - alpha));
        if (o.centered == true)
        {
            var m = step.Open(state.grad_avg!).mul_(Held(alpha)).add_(g, alpha: Held(1 - alpha));
            v = v.addcmul(m, m, value: Held(-1));
            v.mul_(v.ge(Zero)); // rounding may make the variance negative, and its square root NaN; a clamp would also hide a NaN
        }
        var d = v.sqrt().add_(Held(step.Eps(o.eps!.Value)), One);
        if (o.momentum > 0) p.add_(step.Open(state.momentum_buffer!).mul_(Held(o.momentum!.Value)).addcdiv_(g, d, One), alpha: Held(-lr));
        else p.addcdiv_(g, d, value: Held(-lr));
        step.Commit();
    }

    // The same for many parameters on a device without kernels.
    private static FusedStep Fused(RMSprop.Options o) => new(dtype =>
    {
        double lr = o.LearningRate!.Value, alpha = o.alpha!.Value, eps = ParameterUpdate.LeastEps(o.eps!.Value, dtype), decay = o.weight_decay!.Value;
        return o.centered == true || o.momentum > 0 || alpha == 1
            ? new ForeachRMSprop(lr, alpha, eps, decay, o.momentum!.Value, o.centered == true, o.maximize == true)
            : new FusedRMSprop(lr, alpha, eps, decay, o.maximize == true);
    });

    private static RMSpropArguments Arguments(RMSprop.Options o, in ParameterUpdate update, ScalarType dtype) => new()
    {
        Gradient = update.Transform(o.maximize, o.weight_decay!.Value),
        LearningRate = o.LearningRate!.Value,
        Alpha = o.alpha!.Value,
        Eps = ParameterUpdate.LeastEps(o.eps!.Value, dtype),
        Momentum = o.momentum!.Value,
    };
}

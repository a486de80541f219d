using System.Runtime.InteropServices;
using TorchStab.Dispatch;
using TorchStab.Kernels;
using TorchStab.Modules;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Optimization;

/// <summary>The update of Adam and AdamW: the only code that writes their parameters and moments.</summary>
internal static class AdamUpdate
{
    public static void Apply(AdamOptions options, bool decoupled, List<ParameterUpdate> updates)
    {
        var pass = StepLaunch<AdamKernel, AdamArguments>.Start();
        FusedStep? fused = null;
        var warmUp = default(WarmUp);
        foreach (ref readonly var update in CollectionsMarshal.AsSpan(updates))
        {
            var state = (AdamState)update.State;
            state.step++;
            var memory = update.Memory(options);
            if (warmUp.Step != state.step) warmUp = WarmUp.At(options, state.step);
            if (update.IsUniform && pass.TryAdd(Arguments(options, decoupled, update, warmUp, memory.State0.Dtype), memory)) continue;
            fused ??= Fused(options, decoupled);
            if (!update.TryAdd(fused, memory, state.step)) TensorForm(options, decoupled, update);
        }
        pass.Run();
        fused?.Run();
        GC.KeepAlive(updates);
    }

    /// <summary>
    /// m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², p ← p − lr/(1−β₁ᵗ) · m / (√(v/(1−β₂ᵗ)) + ε), where g is the clipped gradient plus λp
    /// (Adam), or p ← (1 − lr·λ)p comes first (AdamW, <paramref name="decoupled"/>).
    /// </summary>
    private static void TensorForm(AdamOptions o, bool decoupled, in ParameterUpdate update)
    {
        var state = (AdamState)update.State;
        double lr = o.LearningRate!.Value, decay = o.weight_decay!.Value, beta1 = o.beta1!.Value, beta2 = o.beta2!.Value;
        using var step = new TensorStep(update, state.exp_avg.dtype, o.maximize);
        Tensor p = step.Parameter, g = step.Gradient, m = step.Open(state.exp_avg), v = step.Open(state.exp_avg_sq);
        if (decay != 0 && decoupled) p.mul_(Held(1 - lr * decay));
        else if (decay != 0) g = g.add(p, alpha: Held(decay));
        m.mul_(Held(beta1)).add_(g, alpha: Held(1 - beta1));
        v.mul_(Held(beta2)).addcmul_(g, g, value: Held(1 - beta2));
        if (o.amsgrad == true) v = step.Open(state.max_exp_avg_sq!).clamp_(min: v);
        var denominator = v.sqrt().div_(Held(Math.Sqrt(1 - Math.Pow(beta2, state.step)))).add_(Held(step.Eps(o.eps!.Value)), One);
        p.addcdiv_(m, denominator, value: Held(-lr / (1 - Math.Pow(beta1, state.step))));
        step.Commit();
    }

    // The same for many parameters on a device without kernels.
    private static FusedStep Fused(AdamOptions o, bool decoupled) => new(dtype => new FusedAdam(decoupled, o.LearningRate!.Value, o.beta1!.Value,
        o.beta2!.Value, ParameterUpdate.LeastEps(o.eps!.Value, dtype), o.weight_decay!.Value, o.amsgrad == true, o.maximize == true));

    // The arguments of the kernel, which computes the same in one pass.
    private static AdamArguments Arguments(AdamOptions o, bool decoupled, in ParameterUpdate update, WarmUp warmUp, ScalarType dtype)
    {
        double decay = o.weight_decay!.Value;
        return new()
        {
            Gradient = update.Transform(o.maximize, decoupled ? 0 : decay),
            Beta1 = o.beta1!.Value,
            Beta2 = o.beta2!.Value,
            Eps = ParameterUpdate.LeastEps(o.eps!.Value, dtype),
            StepSize = warmUp.StepSize,
            Correction = warmUp.Correction,
            Decay = decoupled ? 1 - o.LearningRate!.Value * decay : 1,
        };
    }

    /// <summary>The bias corrections of the first steps; parameters with the same number of updates share them.</summary>
    private readonly record struct WarmUp(long Step, double StepSize, double Correction)
    {
        public static WarmUp At(AdamOptions o, long step) =>
            new(step, o.LearningRate!.Value / (1 - Math.Pow(o.beta1!.Value, step)), 1 / Math.Sqrt(1 - Math.Pow(o.beta2!.Value, step)));
    }
}

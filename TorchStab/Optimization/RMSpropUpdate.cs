using System.Runtime.InteropServices;
using TorchStab.Dispatch;
using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Optimization;

/// <summary>The update of RMSprop: the one place where its parameters and moments are written.</summary>
internal static class RMSpropUpdate
{
    public static void Apply(RMSprop.Options options, List<ParameterUpdate> updates)
    {
        var pass = RMSpropStep.Start();
        foreach (ref readonly var update in CollectionsMarshal.AsSpan(updates))
        {
            var state = (RMSprop.State)update.State;
            state.step++;
            var mean = options.centered == true ? state.Mean() : null;
            var buffer = options.momentum > 0 ? state.Buffer() : null;
            var memory = update.Gradients.Memory(update.Index, state.Square.Of(state.square_avg), state.MeanView.Of(mean), state.BufferView.Of(buffer));
            if (!update.IsUniform || !pass.TryAdd(Numbers(options, update, memory.State0.Dtype), memory)) TensorForm(options, update, mean, buffer);
        }
        pass.Run();
        GC.KeepAlive(updates);
    }

    /// <summary>
    /// v ← αv + (1−α)g², d = √v + ε, or √(v − m²) + ε with m ← αm + (1−α)g when centered; p ← p − lr · g/d, or by the buffer
    /// b ← μb + g/d under momentum; g is the clipped gradient plus λp.
    /// </summary>
    private static void TensorForm(RMSprop.Options o, ParameterUpdate update, Tensor? mean, Tensor? buffer)
    {
        var state = (RMSprop.State)update.State;
        double lr = o.LearningRate!.Value, decay = o.weight_decay!.Value, alpha = o.alpha!.Value;
        using var step = new TensorStep(update, state.square_avg.dtype, o.maximize);
        Tensor p = step.Parameter, g = step.Gradient;
        if (decay != 0) g = g.add(p, alpha: decay);
        var v = step.Open(state.square_avg).mul_(alpha).addcmul_(g, g, value: 1 - alpha);
        if (mean is not null)
        {
            var m = step.Open(mean).mul_(alpha).add_(g, alpha: 1 - alpha);
            v = v.addcmul(m, m, value: -1).clamp_min_(0); // a variance: rounding must not make it negative, and its root NaN
        }
        var d = v.sqrt().add_(step.Eps(o.eps!.Value));
        if (buffer is not null) p.add_(step.Open(buffer).mul_(o.momentum!.Value).addcdiv_(g, d), alpha: -lr);
        else p.addcdiv_(g, d, value: -lr);
        step.Commit();
    }

    private static RMSpropNumbers Numbers(RMSprop.Options o, ParameterUpdate update, ScalarType dtype) => new(
        update.Coefficient.Numbers(o.maximize, o.weight_decay!.Value), o.LearningRate!.Value, o.alpha!.Value, Epsilon.AtLeast(o.eps!.Value, dtype), o.momentum!.Value);
}

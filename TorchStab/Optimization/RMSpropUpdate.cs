using TorchStab.Modules;

namespace TorchStab.Optimization;

/// <summary>The update of RMSprop: the one place where its parameters and moments are written.</summary>
internal static class RMSpropUpdate
{
    public static void Apply(RMSprop.Options options, IReadOnlyList<ParameterUpdate> updates)
    {
        foreach (var update in updates) TensorForm(options, update);
    }

    /// <summary>
    /// v ← αv + (1−α)g², d = √v + ε, or √(v − m²) + ε with m ← αm + (1−α)g when centered; p ← p − lr · g/d, or by the buffer
    /// b ← μb + g/d under momentum; g is the clipped gradient plus λp.
    /// </summary>
    private static void TensorForm(RMSprop.Options o, ParameterUpdate update)
    {
        var state = (RMSprop.State)update.State;
        double lr = o.LearningRate!.Value, decay = o.weight_decay!.Value, alpha = o.alpha!.Value, momentum = o.momentum!.Value;
        update.Write(state.square_avg.dtype, p =>
        {
            var g = update.Clipped(p.dtype, o.maximize);
            if (decay != 0) g = g.add(p, alpha: decay);
            state.step++;
            var v = state.square_avg.mul_(alpha).addcmul_(g, g, value: 1 - alpha);
            if (o.centered == true)
            {
                var m = state.Mean().mul_(alpha).add_(g, alpha: 1 - alpha);
                v = v.addcmul(m, m, value: -1).clamp_min_(0); // a variance: rounding must not make it negative, and its root NaN
            }
            var d = v.sqrt().add_(o.eps!.Value);
            if (momentum > 0) p.add_(state.Buffer().mul_(momentum).addcdiv_(g, d), alpha: -lr);
            else p.addcdiv_(g, d, value: -lr);
        });
    }
}

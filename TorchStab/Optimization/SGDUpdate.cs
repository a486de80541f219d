using TorchStab.Modules;

namespace TorchStab.Optimization;

/// <summary>The update of SGD: the one place where its parameters and buffers are written.</summary>
internal static class SGDUpdate
{
    public static void Apply(SGD.Options options, IReadOnlyList<ParameterUpdate> updates)
    {
        foreach (var update in updates) TensorForm(options, update);
    }

    /// <summary>b ← μb + (1−τ)g, at first b = g; p ← p − lr · (g + μb under Nesterov, else b), with g the clipped gradient plus λp.</summary>
    private static void TensorForm(SGD.Options o, ParameterUpdate update)
    {
        var state = (SGD.State)update.State;
        double momentum = o.momentum!.Value, decay = o.weight_decay!.Value;
        update.Write(state.momentum_buffer?.dtype ?? state.MomentDtype, p =>
        {
            // The sign turns before the decay is added: under maximize the decay still shrinks.
            var g = update.Clipped(p.dtype, o.maximize);
            if (decay != 0) g = g.add(p, alpha: decay);
            if (momentum != 0)
            {
                var buffer = state.Accumulate(g, momentum, o.dampening!.Value);
                g = o.nesterov == true ? g.add(buffer, alpha: momentum) : buffer;
            }
            p.add_(g, alpha: -o.LearningRate!.Value);
        });
    }
}

using System.Runtime.InteropServices;
using TorchStab.Dispatch;
using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Optimization;

/// <summary>The update of SGD: the one place where its parameters and buffers are written.</summary>
internal static class SGDUpdate
{
    public static void Apply(SGD.Options options, List<ParameterUpdate> updates)
    {
        double momentum = options.momentum!.Value;
        var pass = SGDStep.Start();
        foreach (ref readonly var update in CollectionsMarshal.AsSpan(updates))
        {
            var state = (SGD.State)update.State;
            // The first gradient becomes the buffer as it is, whatever the dampening.
            var (keep, intake) = state.momentum_buffer is null ? (0, 1) : (momentum, 1 - options.dampening!.Value);
            var buffer = momentum == 0 ? null : state.Buffer();
            var memory = update.Gradients.Memory(update.Index, state.View.Of(buffer));
            if (!update.IsUniform || !pass.TryAdd(Numbers(options, update, keep, intake), memory)) TensorForm(options, update, buffer, keep, intake);
        }
        pass.Run();
        GC.KeepAlive(updates);
    }

    /// <summary>b ← μb + (1−τ)g, at first b = g; p ← p − lr · (g + μb under Nesterov, else b), with g the clipped gradient plus λp.</summary>
    private static void TensorForm(SGD.Options o, ParameterUpdate update, Tensor? buffer, double keep, double intake)
    {
        double decay = o.weight_decay!.Value;
        using var step = new TensorStep(update, update.State.MomentDtype, o.maximize);
        Tensor p = step.Parameter, g = step.Gradient;
        // The sign has turned before the decay is added: under maximize the decay still shrinks.
        if (decay != 0) g = g.add(p, alpha: decay);
        if (buffer is not null)
        {
            var b = step.Open(buffer).mul_(keep).add_(g, alpha: intake);
            g = o.nesterov == true ? g.add(b, alpha: o.momentum!.Value) : b;
        }
        p.add_(g, alpha: -o.LearningRate!.Value);
        step.Commit();
    }

    private static SGDNumbers Numbers(SGD.Options o, ParameterUpdate update, double keep, double intake) => new(
        update.Coefficient.Numbers(o.maximize, o.weight_decay!.Value), o.LearningRate!.Value, keep, intake, LookAhead: o.nesterov == true ? o.momentum!.Value : 0);
}

using System.Runtime.InteropServices;
using TorchStab.Dispatch;
using TorchStab.Kernels;
using TorchStab.Modules;
using static TorchStab.Scalars;

namespace TorchStab.Optimization;

/// <summary>The update of SGD: the only code that writes its parameters and buffers.</summary>
internal static class SGDUpdate
{
    public static void Apply(SGD.Options options, List<ParameterUpdate> updates)
    {
        double momentum = options.momentum!.Value;
        var pass = StepLaunch<SGDKernel, SGDArguments>.Start();
        FusedStep? fused = null;
        foreach (ref readonly var update in CollectionsMarshal.AsSpan(updates))
        {
            var state = (SGD.State)update.State;
            // The first gradient becomes the buffer, without dampening.
            var (keep, intake) = state.momentum_buffer is null ? (0, 1) : (momentum, 1 - options.dampening!.Value);
            var memory = update.Memory(options);
            if (update.IsUniform && pass.TryAdd(Arguments(options, update, keep, intake), memory)) continue;
            fused ??= Fused(options);
            if (!update.TryAdd(fused, memory, age: keep == 0 ? 1 : 2)) TensorForm(options, update, keep, intake);
        }
        pass.Run();
        fused?.Run();
        GC.KeepAlive(updates);
    }

    /// <summary>
    /// b ← μb + (1−τ)g, in the first step b = g; p ← p − lr · b, or p − lr · (g + μb) with Nesterov's momentum; g is the clipped gradient plus λp.
    /// </summary>
    private static void TensorForm(SGD.Options o, in ParameterUpdate update, double keep, double intake)
    {
        double decay = o.weight_decay!.Value;
        using var step = new TensorStep(update, update.State.MomentDtype, o.maximize);
        var (p, g) = (step.Parameter, step.Gradient);
        // The sign is reversed before the decay is added, so that with maximize the decay still shrinks the weights.
        if (decay != 0) g = g.add(p, alpha: Held(decay));
        if (o.momentum > 0)
        {
            var b = step.Open(((SGD.State)update.State).momentum_buffer!).mul_(Held(keep)).add_(g, alpha: Held(intake));
            g = o.nesterov == true ? g.add(b, alpha: Held(o.momentum!.Value)) : b;
        }
        p.add_(g, alpha: Held(-o.LearningRate!.Value));
        step.Commit();
    }

    // The same for many parameters on a device without kernels.
    private static FusedStep Fused(SGD.Options o) => new(_ => new FusedSGD(o.LearningRate!.Value, o.momentum!.Value, o.dampening!.Value, o.weight_decay!.Value,
        o.nesterov == true, o.maximize == true));

    private static SGDArguments Arguments(SGD.Options o, in ParameterUpdate update, double keep, double intake) => new()
    {
        Gradient = update.Transform(o.maximize, o.weight_decay!.Value),
        LearningRate = o.LearningRate!.Value,
        Momentum = keep,
        NewShare = intake,
        LookAhead = o.nesterov == true ? o.momentum!.Value : 0,
    };
}

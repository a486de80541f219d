using static TorchSharp.torch;

namespace TorchStab.Recurrent;

/// <summary>A step function applied along time.</summary>
internal static class Recurrence
{
    /// <summary>
    /// Runs over <paramref name="inputs"/> (T, N, *). The first state is the output of its step. Where <paramref name="valid"/> (T, N, 1)
    /// is false a sequence has ended: its states stay as they were, and its output is zero.
    /// </summary>
    /// <returns>Outputs (T, N, H) and the states after the last valid step.</returns>
    public static (Tensor output, Tensor[] state) Run(Tensor inputs, Tensor[] state, Tensor? valid, Func<Tensor, Tensor[], Tensor[]> step)
    {
        var slices = inputs.unbind(0);
        var running = valid?.unbind(0);
        var outputs = new Tensor[slices.Length];
        for (int t = 0; t < slices.Length; t++)
        {
            // A scope a step: without gradients a long sequence then needs the memory of one step.
            using var scope = NewDisposeScope();
            var next = step(slices[t], state);
            if (running is null)
                outputs[t] = next[0];
            else
            {
                outputs[t] = where(running[t], next[0], zeros_like(next[0]));
                for (int k = 0; k < next.Length; k++) next[k] = where(running[t], next[k], state[k]);
                outputs[t].MoveToOuterDisposeScope();
            }
            foreach (var s in next) s.MoveToOuterDisposeScope();
            state = next;
        }
        return (stack(outputs), state);
    }

    /// <summary>
    /// The same with each sequence's first step, which always counts, in place of its padding. What stands in padding may be anything: it must reach no
    /// sum, because a gradient of 0 times NaN or infinity is NaN.
    /// </summary>
    public static Tensor WithoutPadding(Tensor inputs, Tensor valid) => where(valid, inputs, inputs.narrow(0, 0, 1));

    /// <summary>True at steps within each sequence's length: (T, N, 1); null where there are no lengths.</summary>
    public static Tensor? Valid(Tensor? lengths, Tensor inputs)
    {
        if (lengths is null) return null;
        var steps = arange(inputs.shape[0], ScalarType.Int64, inputs.device).unsqueeze(1);
        return steps.lt(lengths.to(ScalarType.Int64, inputs.device).unsqueeze(0)).unsqueeze(-1);
    }
}

using static TorchSharp.torch;

namespace TorchStab.Recurrent;

/// <summary>Applies a step function along time.</summary>
internal static class Recurrence
{
    /// <summary>
    /// Runs over <paramref name="inputs"/> (T, N, *). The first state of a step is also its output. If <paramref name="valid"/> (T, N, 1) is false, the
    /// sequence has ended: its states do not change any more, and its output is zero.
    /// </summary>
    /// <returns>Outputs (T, N, H) and the states after the last valid step.</returns>
    public static (Tensor output, Tensor[] state) Run(Tensor inputs, Tensor[] state, Tensor? valid, Func<Tensor, Tensor[], Tensor[]> step)
    {
        var slices = inputs.unbind(0);
        var running = valid?.unbind(0);
        var outputs = new Tensor[slices.Length];
        for (int t = 0; t < slices.Length; t++)
        {
            // One scope for each step: without gradients a long sequence then needs the memory of one step only.
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
    /// Replaces the padding by each sequence's first step, which is always valid. Padding may hold any value, and NaN or infinity must not enter the
    /// matrix product: its gradient would be 0 · NaN = NaN.
    /// </summary>
    public static Tensor WithoutPadding(Tensor inputs, Tensor valid) => where(valid, inputs, inputs.narrow(0, 0, 1));

    /// <summary>Shape (T, N, 1): true at the steps within each sequence's length. Null without lengths.</summary>
    public static Tensor? Valid(Tensor? lengths, Tensor inputs)
    {
        if (lengths is null) return null;
        var steps = arange(inputs.shape[0], ScalarType.Int64, inputs.device).unsqueeze(1);
        return steps.lt(lengths.to(ScalarType.Int64, inputs.device).unsqueeze(0)).unsqueeze(-1);
    }
}

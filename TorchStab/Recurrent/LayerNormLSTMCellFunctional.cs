using TorchStab.Modules;
using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Recurrent;

/// <summary>
/// The layer-normalized LSTM step (Ba, Kiros, Hinton 2016):
/// <para>i, f, g, o = LN(x W_ihᵀ) + LN(h W_hhᵀ) + bias; c' = σ(f)·c + σ(i)·tanh(g); h' = σ(o)·tanh(LN(c'))</para>
/// </summary>
internal static class LayerNormLSTMCellFunctional
{
    /// <summary>The input's part of the gates, for one step or for all steps of a sequence at once: LN(x W_ihᵀ) + bias.</summary>
    public static Tensor InputGates(LayerNormLSTMCell cell, Tensor x)
    {
        var gates = Normalized(cell.ln_ih, nn.functional.linear(x, cell.InputWeight));
        return cell.bias is { } bias ? gates + bias : gates;
    }

    /// <summary>Computes [h', c'] from the step's <see cref="InputGates"/> and [h, c].</summary>
    public static Tensor[] Step(LayerNormLSTMCell cell, Tensor weight_hh, Tensor inputGates, Tensor[] state)
    {
        var gates = (inputGates + Normalized(cell.ln_hh, nn.functional.linear(state[0], weight_hh))).chunk(4, -1);
        var c = gates[1].sigmoid() * state[1] + gates[0].sigmoid() * gates[2].tanh();
        var h = gates[3].sigmoid() * Normalized(cell.ln_c, c).tanh();
        return [h, c];
    }

    private static Tensor Normalized(LayerNorm norm, Tensor x) => LayerNormFunctional.Apply(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps);
}

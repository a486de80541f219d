using TorchStab.Modules;
using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Recurrent;

/// <summary>
/// The layer-normalized GRU step (after Ba, Kiros, Hinton 2016); the rows of the weights are in the order r, z, n:
/// <para>r, z = σ(LN(x W_rzᵀ) + LN(h U_rzᵀ) + bias_rz); n = tanh(LN(x W_nᵀ) + bias_n + r·LN(h U_nᵀ)); h' = (1 − z)·n + z·h</para>
/// </summary>
internal static class LayerNormGRUCellFunctional
{
    /// <summary>The input's part of the gates, for one step or for all steps of a sequence at once: [LN(x W_rzᵀ), LN(x W_nᵀ)] + bias.</summary>
    public static Tensor InputGates(LayerNormGRUCell cell, Tensor x)
    {
        var (rz, n) = Split(cell, nn.functional.linear(x, cell.InputWeight));
        var gates = cat([Normalized(cell.ln_ih_rz, rz), Normalized(cell.ln_ih_n, n)], -1);
        return cell.bias is { } bias ? gates + bias : gates;
    }

    /// <summary>Computes [h'] from the step's <see cref="InputGates"/> and [h].</summary>
    public static Tensor[] Step(LayerNormGRUCell cell, Tensor weight_hh, Tensor inputGates, Tensor[] state)
    {
        var h = state[0];
        var (rzIn, nIn) = Split(cell, inputGates);
        var (rz, n) = Split(cell, nn.functional.linear(h, weight_hh));
        var gates = (rzIn + Normalized(cell.ln_hh_rz, rz)).sigmoid().chunk(2, -1);
        n = (nIn + gates[0] * Normalized(cell.ln_hh_n, n)).tanh();
        return [n + gates[1] * (h - n)];
    }

    private static (Tensor rz, Tensor n) Split(LayerNormGRUCell cell, Tensor gates) =>
        (gates.narrow(-1, 0, 2 * cell.hidden_size), gates.narrow(-1, 2 * cell.hidden_size, cell.hidden_size));

    private static Tensor Normalized(LayerNorm norm, Tensor x) => LayerNormFunctional.Apply(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps);
}

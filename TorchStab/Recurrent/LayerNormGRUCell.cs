using TorchStab.Recurrent;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>
/// One step of a layer-normalized GRU:
/// <para>r, z = σ(LN(x W_rzᵀ) + LN(h U_rzᵀ) + bias_rz)</para>
/// <para>n = tanh(LN(x W_nᵀ) + bias_n + r·LN(h U_nᵀ))</para>
/// <para>h' = (1 − z)·n + z·h</para>
/// The rows of the weights are in the order r, z, n. The gates r and z are normalized together, n by itself.
/// </summary>
/// <remarks>
/// After Ba, Kiros, Hinton: Layer Normalization, 2016 (arXiv 1607.06450); calls and errors as <c>torch.nn.GRUCell</c>. Any floating-point dtype, the same
/// for input, states and parameters.
/// </remarks>
public sealed class LayerNormGRUCell : LayerNormCell<Tensor?, Tensor>
{
    internal LayerNormGRUCell(long input_size, long hidden_size, bool bias, double eps, bool orthogonal_recurrent, Device? device, ScalarType? dtype)
        : base(nameof(LayerNormGRUCell), 3, input_size, hidden_size, bias, eps, orthogonal_recurrent, device, dtype)
    {
        ln_ih_rz = AddNorm(nameof(ln_ih_rz), 2 * hidden_size, device, dtype);
        ln_hh_rz = AddNorm(nameof(ln_hh_rz), 2 * hidden_size, device, dtype);
        ln_ih_n = AddNorm(nameof(ln_ih_n), hidden_size, device, dtype);
        ln_hh_n = AddNorm(nameof(ln_hh_n), hidden_size, device, dtype);
        reset_parameters();
    }

    /// <summary>Normalizes the input's part of the gates r and z.</summary>
    public LayerNorm ln_ih_rz { get; }

    /// <summary>Normalizes the state's part of the gates r and z.</summary>
    public LayerNorm ln_hh_rz { get; }

    /// <summary>Normalizes the input's part of the new value n.</summary>
    public LayerNorm ln_ih_n { get; }

    /// <summary>Normalizes the state's part of the new value n.</summary>
    public LayerNorm ln_hh_n { get; }

    /// <summary>Takes one GRU step.</summary>
    /// <param name="input">Shape (N, input_size) or (input_size).</param>
    /// <param name="hx">Shape (N, hidden_size) or (hidden_size); null (the default): zeros.</param>
    /// <returns>h' of the same shape.</returns>
    /// <exception cref="ArgumentException">A rank, size or dtype does not fit.</exception>
    public override Tensor forward(Tensor input, Tensor? hx = null)
    {
        RecurrentCheck.CellInput(input, "GRUCell", input_size, WeightDtype);
        if (hx is not null) RecurrentCheck.CellState(hx, 0, "hidden", input, "GRUCell", hidden_size);
        using var scope = NewDisposeScope();
        var state = hx ?? input.new_zeros([.. input.shape[..^1], hidden_size]);
        return LayerNormGRUCellFunctional.Step(this, RecurrentWeight, LayerNormGRUCellFunctional.InputGates(this, input), [state])[0].MoveToOuterDisposeScope();
    }

    /// <summary>Takes one GRU step, with the module's hooks.</summary>
    /// <inheritdoc cref="forward"/>
    public new Tensor call(Tensor input, Tensor? hx = null) => base.call(input, hx);
}

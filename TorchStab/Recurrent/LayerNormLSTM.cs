using TorchStab.Recurrent;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>
/// Runs layers of <see cref="LayerNormLSTMCell"/> along sequences: hₜ, cₜ = cell(xₜ, (hₜ₋₁, cₜ₋₁)), where the input of each layer after the first is the h
/// of the layer before.
/// Arguments, shapes and errors are those of <c>torch.nn.LSTM</c>. For sequences of different lengths in one padded batch see
/// <see cref="forward(Tensor, ValueTuple{Tensor, Tensor}?, Tensor)"/>.
/// </summary>
/// <remarks>Ba, Kiros, Hinton: Layer Normalization, 2016 (arXiv 1607.06450). Any floating-point dtype, the same for input, states and parameters.</remarks>
public sealed class LayerNormLSTM : LayerNormRecurrent<LayerNormLSTMCell, (Tensor h0, Tensor c0)?, (Tensor output, Tensor h_n, Tensor c_n)>
{
    internal LayerNormLSTM(long input_size, long hidden_size, long num_layers, bool batch_first, bool bias, double dropout, double eps,
        bool orthogonal_recurrent, bool unit_forget_bias, Device? device, ScalarType? dtype)
        : base(nameof(LayerNormLSTM), input_size, hidden_size, num_layers, batch_first, dropout,
            features => new LayerNormLSTMCell(features, hidden_size, bias, eps, orthogonal_recurrent, unit_forget_bias, device, dtype))
    { }

    /// <inheritdoc cref="LayerNormRecurrent{TCell, TState, TResult}.reset_parameters"/>
    public override void reset_parameters()
    {
        foreach (var cell in cells) cell.reset_parameters();
    }

    /// <summary>Runs the LSTM over sequences of equal length.</summary>
    /// <param name="input">Shape (T, N, input_size), or (N, T, input_size) if batch_first, or (T, input_size) without a batch.</param>
    /// <param name="hx">(h0, c0), each (num_layers, N, hidden_size), or (num_layers, hidden_size) without a batch; null: zeros.</param>
    /// <returns>The last layer's h of every step, laid out as the input, and h and c of every layer after the last step.</returns>
    /// <exception cref="ArgumentException">A rank, size or dtype does not fit, or there are no steps.</exception>
    public override (Tensor output, Tensor h_n, Tensor c_n) forward(Tensor input, (Tensor h0, Tensor c0)? hx) => forward(input, hx, lengths: null);

    /// <summary>Runs the LSTM over a padded batch. Every sequence ends at its length, as in PyTorch's packed sequences.</summary>
    /// <param name="input">Shape (T, N, input_size), or (N, T, input_size) if batch_first, or (T, input_size) without a batch.</param>
    /// <param name="hx">(h0, c0), each (num_layers, N, hidden_size), or (num_layers, hidden_size) without a batch; null: zeros.</param>
    /// <param name="lengths">Integers from 1 to T, shape (N), in any order; null (the default): T for all.</param>
    /// <returns>The last layer's h of every step (zero after the end of a sequence), and h and c of every layer at the end of each sequence.</returns>
    /// <exception cref="ArgumentException">A rank, size or dtype does not fit, there are no steps, or a length is below 1 or above T.</exception>
    public (Tensor output, Tensor h_n, Tensor c_n) forward(Tensor input, (Tensor h0, Tensor c0)? hx = null, Tensor? lengths = null)
    {
        var (output, state) = Run(input, hx is var (h0, c0) ? [h0, c0] : null, lengths);
        return (output, state[0], state[1]);
    }

    /// <summary>Runs the LSTM over sequences of equal length, with the module's hooks.</summary>
    /// <inheritdoc cref="forward(Tensor, ValueTuple{Tensor, Tensor}?)"/>
    public new (Tensor output, Tensor h_n, Tensor c_n) call(Tensor input, (Tensor h0, Tensor c0)? hx = null) => base.call(input, hx);

    private protected override int States => 2;

    private protected override ScalarType Dtype => cells[0].WeightDtype;

    private protected override Tensor InputGates(LayerNormLSTMCell cell, Tensor x) => LayerNormLSTMCellFunctional.InputGates(cell, x);

    private protected override Tensor RecurrentWeight(LayerNormLSTMCell cell) => cell.RecurrentWeight;

    private protected override Tensor[] Step(LayerNormLSTMCell cell, Tensor weight_hh, Tensor inputGates, Tensor[] state) =>
        LayerNormLSTMCellFunctional.Step(cell, weight_hh, inputGates, state);
}

using TorchStab.Recurrent;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Modules;

/// <summary>
/// One step of a layer-normalized LSTM:
/// <para>i, f, g, o = LN(x W_ihᵀ) + LN(h W_hhᵀ) + bias</para>
/// <para>c' = σ(f)·c + σ(i)·tanh(g)</para>
/// <para>h' = σ(o)·tanh(LN(c'))</para>
/// The first two normalizations are each over all 4 · hidden_size gates. The next step gets c' itself, not its normalization.
/// </summary>
/// <remarks>
/// Ba, Kiros, Hinton: Layer Normalization, 2016 (arXiv 1607.06450), equations 20 to 22; calls and errors as <c>torch.nn.LSTMCell</c>. Any floating-point
/// dtype, the same for input, states and parameters.
/// </remarks>
public sealed class LayerNormLSTMCell : LayerNormCell<(Tensor h, Tensor c)?, (Tensor h, Tensor c)>
{
    private readonly bool _unitForgetBias;

    internal LayerNormLSTMCell(
        long input_size, long hidden_size, bool bias, double eps, bool orthogonal_recurrent, bool unit_forget_bias, Device? device, ScalarType? dtype)
        : base(nameof(LayerNormLSTMCell), 4, input_size, hidden_size, bias, eps, orthogonal_recurrent, device, dtype)
    {
        _unitForgetBias = unit_forget_bias;
        ln_ih = AddNorm(nameof(ln_ih), 4 * hidden_size, device, dtype);
        ln_hh = AddNorm(nameof(ln_hh), 4 * hidden_size, device, dtype);
        ln_c = AddNorm(nameof(ln_c), hidden_size, device, dtype);
        reset_parameters();
    }

    /// <summary>Normalizes the input's part of the gates.</summary>
    public LayerNorm ln_ih { get; }

    /// <summary>Normalizes the hidden state's part of the gates.</summary>
    public LayerNorm ln_hh { get; }

    /// <summary>Normalizes the cell state before the output's tanh.</summary>
    public LayerNorm ln_c { get; }

    /// <summary>Draws new weights as the base class does, and sets the bias of the forget gate.</summary>
    /// <remarks>The forget gate's bias becomes 1 (Gers et al. 2000; Jozefowicz et al. 2015), or 0 if the constructor says so.</remarks>
    public override void reset_parameters()
    {
        base.reset_parameters();
        if (!_unitForgetBias || bias is null) return;
        using var _ = no_grad();
        using var forget = bias.narrow(0, hidden_size, hidden_size);
        forget.fill_(One);
    }

    /// <summary>Takes one LSTM step.</summary>
    /// <param name="input">Shape (N, input_size) or (input_size).</param>
    /// <param name="hx">(h, c), each (N, hidden_size) or (hidden_size); null (the default): zeros.</param>
    /// <returns>(h', c') of the same shapes.</returns>
    /// <exception cref="ArgumentException">A rank, size or dtype does not fit.</exception>
    public override (Tensor h, Tensor c) forward(Tensor input, (Tensor h, Tensor c)? hx = null)
    {
        RecurrentCheck.CellInput(input, "LSTMCell", input_size, WeightDtype);
        if (hx is var (h, c))
        {
            RecurrentCheck.CellState(h, 0, "hx[0]", input, "LSTMCell", hidden_size);
            RecurrentCheck.CellState(c, 1, "hx[1]", input, "LSTMCell", hidden_size);
        }
        using var scope = NewDisposeScope();
        long[] shape = [.. input.shape[..^1], hidden_size];
        Tensor[] state = hx is { } s ? [s.h, s.c] : [input.new_zeros(shape), input.new_zeros(shape)];
        var next = LayerNormLSTMCellFunctional.Step(this, RecurrentWeight, LayerNormLSTMCellFunctional.InputGates(this, input), state);
        return (next[0].MoveToOuterDisposeScope(), next[1].MoveToOuterDisposeScope());
    }

    /// <summary>Takes one LSTM step, with the module's hooks.</summary>
    /// <inheritdoc cref="forward"/>
    public new (Tensor h, Tensor c) call(Tensor input, (Tensor h, Tensor c)? hx = null) => base.call(input, hx);
}

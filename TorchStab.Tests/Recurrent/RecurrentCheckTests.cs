using static TorchSharp.torch;
using static TorchStab.Tests.Support.Refusals;

namespace TorchStab.Tests.Recurrent;

/// <summary>Every wrong argument is refused in PyTorch's words, by name.</summary>
public class RecurrentCheckTests
{
    [Fact]
    public void Constructors_refuse_impossible_sizes()
    {
        Refused("hidden_size must be greater than zero", "hidden_size", () => stab.nn.LayerNormLSTM(10, 0, 1));
        Refused("hidden_size must be greater than zero", "hidden_size", () => stab.nn.LayerNormGRUCell(10, 0));
        Refused("num_layers must be greater than zero", "num_layers", () => stab.nn.LayerNormGRU(10, 10, 0));
        Refused("dropout should be a number in range [0, 1] representing the probability of an element being zeroed", "dropout",
            () => stab.nn.LayerNormGRU(10, 10, dropout: 2));
    }

    [Fact]
    public void Cells_refuse_what_does_not_fit()
    {
        using var scope = NewDisposeScope();
        using var lstm = stab.nn.LayerNormLSTMCell(3, 4);
        using var gru = stab.nn.LayerNormGRUCell(3, 4);
        Tensor x = rand(2, 3), h = rand(2, 4);
        Refused("LSTMCell: Expected input to be 1D or 2D, got 3D instead", "input", () => lstm.forward(rand(1, 2, 3)));
        Refused("GRUCell: Expected input to be 1D or 2D, got 3D instead", "input", () => gru.forward(rand(1, 2, 3)));
        Refused("input has inconsistent input_size: got 4 expected 3", "input", () => lstm.forward(rand(2, 4)));
        Refused("LSTMCell: Expected hx[1] to be 1D or 2D, got 3D instead", "hx", () => lstm.forward(x, (h, rand(1, 2, 4))));
        Refused("GRUCell: Expected hidden to be 1D or 2D, got 3D instead", "hx", () => gru.forward(x, rand(1, 2, 4)));
        Refused("Input batch size 2 doesn't match hidden0 batch size 3", "hx", () => lstm.forward(x, (rand(3, 4), h)));
        Refused("Input batch size 2 doesn't match hidden1 batch size 3", "hx", () => lstm.forward(x, (h, rand(3, 4))));
        Refused("hidden0 has inconsistent hidden_size: got 5, expected 4", "hx", () => gru.forward(x, rand(2, 5)));
        Refused("rank of the input", "hx", () => gru.forward(x, rand(4)));
        Refused("RNN input dtype (torch.float64) does not match weight dtype (torch.float32)", "input", () => gru.forward(x.to(ScalarType.Float64)));
        Refused("does not match the input's", "hx", () => gru.forward(x, h.to(ScalarType.Float64)));
    }

    [Fact]
    public void Sequence_modules_refuse_what_does_not_fit()
    {
        using var scope = NewDisposeScope();
        using var lstm = stab.nn.LayerNormLSTM(3, 4, 2);
        using var gru = stab.nn.LayerNormGRU(3, 4, 2);
        Tensor x = rand(5, 2, 3), h = rand(2, 2, 4);
        Refused("LSTM: Expected input to be 2D or 3D, got 4D instead", "input", () => lstm.forward(rand(1, 5, 2, 3)));
        Refused("GRU: Expected input to be 2D or 3D, got 1D instead", "input", () => gru.forward(rand(3)));
        Refused("input.size(-1) must be equal to input_size. Expected 3, got 4", "input", () => gru.forward(rand(5, 2, 4)));
        Refused("Expected sequence length to be larger than 0 in RNN", "input", () => gru.forward(rand(0, 2, 3)));
        Refused("For batched 3-D input, hx and cx should also be 3-D but got (2-D, 3-D) tensors", "hx", () => lstm.forward(x, (rand(2, 4), h)));
        Refused("For unbatched 2-D input, hx and cx should also be 2-D but got (3-D, 3-D) tensors", "hx", () => lstm.forward(rand(5, 3), (h, h)));
        Refused("For batched 3-D input, hx should also be 3-D but got 2-D tensor", "hx", () => gru.forward(x, rand(2, 4)));
        Refused("For unbatched 2-D input, hx should also be 2-D but got 3-D tensor", "hx", () => gru.forward(rand(5, 3), h));
        Refused("Expected hidden[0] size (2, 2, 4), got [2, 3, 4]", "hx", () => lstm.forward(x, (rand(2, 3, 4), h)));
        Refused("Expected hidden[1] size (2, 2, 4), got [1, 2, 4]", "hx", () => lstm.forward(x, (h, rand(1, 2, 4))));
        Refused("Expected hidden size (2, 2, 4), got [2, 2, 5]", "hx", () => gru.forward(x, rand(2, 2, 5)));
        Refused("RNN input dtype (torch.float64) does not match weight dtype (torch.float32)", "input", () => gru.forward(x.to(ScalarType.Float64)));
    }

    [Fact]
    public void Lengths_are_refused_as_packing_refuses_them()
    {
        using var scope = NewDisposeScope();
        using var gru = stab.nn.LayerNormGRU(3, 4);
        var x = rand(5, 2, 3);
        Refused("Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0", "lengths", () => Run(5, 0));
        Refused("Expected `len(lengths)` to be equal to batch_size, but got 3 (batch_size=2)", "lengths", () => Run(5, 1, 1));
        Refused("the input has 5 steps", "lengths", () => Run(6, 1));
        Refused("'lengths' argument should be a 1D CPU int64 tensor, but got 2D", "lengths", () => gru.forward(x, lengths: tensor(new long[,] { { 5, 1 } })));
        Refused("'lengths' argument should be a 1D CPU int64 tensor, but got 1D", "lengths", () => gru.forward(x, lengths: tensor(new float[] { 5, 1 })));

        void Run(params long[] lengths) => gru.forward(x, lengths: tensor(lengths));
    }
}

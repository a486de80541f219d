using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Recurrent;

public class LayerNormRecurrentTests
{
    private static readonly long[] Lengths = [2, 5, 1, 4];

    [Fact]
    public void Layers_are_cells_applied_one_after_the_other()
    {
        using var scope = NewDisposeScope();
        using var lstm = stab.nn.LayerNormLSTM(3, 4, num_layers: 2, dtype: ScalarType.Float64);
        Randomize(lstm);
        Tensor x = Random(5, 2, 3), h0 = Random(2, 2, 4), c0 = Random(2, 2, 4);
        var (output, h_n, c_n) = lstm.forward(x, (h0, c0));
        for (int layer = 0; layer < 2; layer++)
        {
            Tensor h = h0[layer], c = c0[layer];
            List<Tensor> outputs = [];
            foreach (var step in x.unbind(0))
            {
                (h, c) = lstm.cells[layer].forward(step, (h, c));
                outputs.Add(h);
            }
            Compare.Close(h, h_n[layer], "h_n");
            Compare.Close(c, c_n[layer], "c_n");
            x = stack(outputs);
        }
        Compare.Close(x, output, "output");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_padded_batch_gives_what_each_sequence_gives_alone(bool batch_first)
    {
        using var scope = NewDisposeScope();
        using var lstm = stab.nn.LayerNormLSTM(3, 4, 2, batch_first, dtype: ScalarType.Float64);
        using var gru = stab.nn.LayerNormGRU(3, 4, 2, batch_first, dtype: ScalarType.Float64);
        Randomize(lstm);
        Randomize(gru);
        Tensor x = Random(5, 4, 3), h0 = Random(2, 4, 4), c0 = Random(2, 4, 4);
        for (int n = 0; n < 4; n++)
            if (Lengths[n] < 5) x.narrow(0, Lengths[n], 5 - Lengths[n]).select(1, n).fill_(1e3);
        Tensor input = (batch_first ? x.transpose(0, 1) : x).detach().requires_grad_(true);
        var (output, h_n, c_n) = lstm.forward(input, (h0, c0), tensor(Lengths));
        var (gruOutput, gruH) = gru.forward(input, h0, tensor(Lengths, ScalarType.Int32));
        var upstream = Random([.. output.shape]);
        (output * upstream).sum().backward();
        for (int n = 0; n < 4; n++)
        {
            var alone = x.narrow(0, 0, Lengths[n]).select(1, n).detach().requires_grad_(true);
            Tensor h = h0.select(1, n), c = c0.select(1, n);
            var (o, hn, cn) = lstm.forward(alone, (h, c));
            Compare.Close(hn, h_n.select(1, n), "h_n");
            Compare.Close(cn, c_n.select(1, n), "c_n");
            Compare.Close(gru.forward(alone, h).h_n, gruH.select(1, n), "GRU's h_n");
            int batch = batch_first ? 0 : 1;
            var mine = output.select(batch, n);
            Compare.Close(o, mine.narrow(0, 0, Lengths[n]), "output");
            Assert.True(mine.narrow(0, Lengths[n], 5 - Lengths[n]).eq(0).all().item<bool>());
            Assert.True(gruOutput.select(batch, n).narrow(0, Lengths[n], 5 - Lengths[n]).eq(0).all().item<bool>());
            (o * upstream.select(batch, n).narrow(0, 0, Lengths[n])).sum().backward();
            var grad = input.grad!.select(batch, n);
            Compare.Close(alone.grad, grad.narrow(0, 0, Lengths[n]), "input gradient");
            Assert.True(grad.narrow(0, Lengths[n], 5 - Lengths[n]).eq(0).all().item<bool>());
        }
    }

    [Fact]
    public void Input_without_a_batch_is_a_batch_of_one()
    {
        using var scope = NewDisposeScope();
        using var lstm = stab.nn.LayerNormLSTM(3, 4, 2, batch_first: true);
        using var gru = stab.nn.LayerNormGRU(3, 4, 2);
        Tensor x = rand(5, 3), h0 = rand(2, 4), c0 = rand(2, 4);
        var (output, h_n, c_n) = lstm.forward(x, (h0, c0));
        var (o, h, c) = lstm.forward(x.unsqueeze(0), (h0.unsqueeze(1), c0.unsqueeze(1)));
        Compare.Identical(o.squeeze(0), output, "output");
        Compare.Identical(h.squeeze(1), h_n, "h_n");
        Compare.Identical(c.squeeze(1), c_n, "c_n");
        Assert.Equal([5, 4], gru.forward(x).output.shape);
        using var cell = stab.nn.LayerNormGRUCell(3, 4);
        Compare.Close(cell.forward(x.narrow(0, 0, 1)).squeeze(0), cell.forward(x[0]), "GRU cell");
        using var lstmCell = stab.nn.LayerNormLSTMCell(3, 4);
        Compare.Close(lstmCell.forward(x.narrow(0, 0, 1)).h.squeeze(0), lstmCell.forward(x[0]).h, "LSTM cell");
    }

    [Fact]
    public void Lengths_of_all_steps_are_no_lengths_and_an_empty_batch_is_empty()
    {
        using var scope = NewDisposeScope();
        using var gru = stab.nn.LayerNormGRU(3, 4);
        var x = rand(5, 2, 3);
        Compare.Identical(gru.forward(x).output, gru.forward(x, lengths: tensor(new long[] { 5, 5 })).output, "output");
        Assert.Equal([5, 0, 4], gru.forward(x.narrow(1, 0, 0)).output.shape);
        Assert.Equal([1, 0, 4], gru.forward(x.narrow(1, 0, 0)).h_n.shape);
    }

    [Fact]
    public void Dropout_works_between_layers_in_training_only()
    {
        using var scope = NewDisposeScope();
        using var lstm = stab.nn.LayerNormLSTM(3, 8, 2, dropout: 0.5);
        var x = rand(4, 2, 3);
        lstm.eval();
        Compare.Identical(lstm.forward(x).output, lstm.forward(x).output, "eval");
        lstm.train();
        Assert.False(lstm.forward(x).output.allclose(lstm.forward(x).output));
    }

    [Theory]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float64)]
    public void Every_dtype_trains(ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        using var lstm = stab.nn.LayerNormLSTM(3, 4, dtype: dtype);
        var (output, _, c_n) = lstm.forward(rand(5, 2, 3, dtype: dtype), lengths: tensor(new long[] { 3, 5 }));
        Assert.Equal((dtype, dtype), (output.dtype, c_n.dtype));
        output.backward([rand_like(output)]);
        Assert.All(lstm.parameters(), p => Assert.True(p.grad is { } g && g.dtype == dtype && g.isfinite().all().item<bool>()));
    }

    [Fact]
    public void Nothing_is_left_alive()
    {
        using var lstm = stab.nn.LayerNormLSTM(3, 4, 2);
        using var gru = stab.nn.LayerNormGRU(3, 4);
        using var x = rand(5, 2, 3);
        using var lengths = tensor(new long[] { 2, 5 });
        LiveTensors.AssertNoneLeft(() =>
        {
            var (output, h, c) = lstm.forward(x, lengths: lengths);
            var (o, h_n) = gru.forward(x);
            using var loss = output.sum();
            loss.backward();
            foreach (var t in new[] { output, h, c, o, h_n }) t.Dispose();
        });
    }

    private static void Randomize(nn.Module module)
    {
        using var _ = no_grad();
        foreach (var p in module.parameters()) p.normal_();
    }

    private static Tensor Random(params long[] shape) => randn(shape, ScalarType.Float64);
}

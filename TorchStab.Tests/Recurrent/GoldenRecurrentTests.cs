using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Recurrent;

/// <summary>
/// PyTorch's reference vectors for the layer-normalized cells: five steps, states and every gradient; by the cell and by the sequence module.
/// </summary>
public class GoldenRecurrentTests
{
    public static TheoryData<string> Lstm => GoldenSuite.Ids("rnn_ln", c => c.Op == "ln_lstm_cell");

    public static TheoryData<string> Gru => GoldenSuite.Ids("rnn_ln", c => c.Op == "ln_gru_cell");

    [Theory]
    [MemberData(nameof(Lstm))]
    public void The_LSTM_cell_gives_states_and_gradients(string label)
    {
        using var scope = NewDisposeScope();
        var c = GoldenSuite.Find("rnn_ln", label);
        using var cell = stab.nn.LayerNormLSTMCell(Size(c, "input_size"), Size(c, "hidden_size"), c.Flag("bias"), c.Number("eps")!.Value, dtype: c.Dtype);
        Load(cell, c);
        Tensor x = Leaf(c, "x"), h0 = Leaf(c, "h0"), c0 = Leaf(c, "c0");
        var (h, s) = (h0, c0);
        List<Tensor> hs = [], cs = [];
        foreach (var step in x.unbind(0))
        {
            (h, s) = cell.call(step, (h, s));
            hs.Add(h);
            cs.Add(s);
        }
        c.Check("c", stack(cs));
        CheckGradients(c, cell, stack(hs), s, x, ("h0", h0), ("c0", c0));
    }

    [Theory]
    [MemberData(nameof(Gru))]
    public void The_GRU_cell_gives_states_and_gradients(string label)
    {
        using var scope = NewDisposeScope();
        var c = GoldenSuite.Find("rnn_ln", label);
        using var cell = stab.nn.LayerNormGRUCell(Size(c, "input_size"), Size(c, "hidden_size"), c.Flag("bias"), c.Number("eps")!.Value, dtype: c.Dtype);
        Load(cell, c);
        Tensor x = Leaf(c, "x"), h0 = Leaf(c, "h0");
        var h = h0;
        List<Tensor> hs = [];
        foreach (var step in x.unbind(0)) hs.Add(h = cell.call(step, h));
        CheckGradients(c, cell, stack(hs), null, x, ("h0", h0));
    }

    [Theory]
    [MemberData(nameof(Lstm))]
    public void The_LSTM_gives_states_and_gradients(string label)
    {
        using var scope = NewDisposeScope();
        var c = GoldenSuite.Find("rnn_ln", label);
        using var lstm = stab.nn.LayerNormLSTM(Size(c, "input_size"), Size(c, "hidden_size"), bias: c.Flag("bias"),
            eps: c.Number("eps")!.Value, dtype: c.Dtype);
        Load(lstm.cells[0], c);
        Tensor x = Leaf(c, "x"), h0 = Leaf(c, "h0"), c0 = Leaf(c, "c0");
        var (output, h_n, c_n) = lstm.call(x, (h0.unsqueeze(0), c0.unsqueeze(0)));
        Compare.Identical(output[-1], h_n[0], "h_n");
        CheckGradients(c, lstm.cells[0], output, c_n[0], x, ("h0", h0), ("c0", c0));
    }

    [Theory]
    [MemberData(nameof(Gru))]
    public void The_GRU_gives_states_and_gradients(string label)
    {
        using var scope = NewDisposeScope();
        var c = GoldenSuite.Find("rnn_ln", label);
        using var gru = stab.nn.LayerNormGRU(Size(c, "input_size"), Size(c, "hidden_size"), bias: c.Flag("bias"), eps: c.Number("eps")!.Value, dtype: c.Dtype);
        Load(gru.cells[0], c);
        Tensor x = Leaf(c, "x"), h0 = Leaf(c, "h0");
        var (output, h_n) = gru.call(x, h0.unsqueeze(0));
        Compare.Identical(output[-1], h_n[0], "h_n");
        CheckGradients(c, gru.cells[0], output, null, x, ("h0", h0));
    }

    private static void CheckGradients(GoldenCase c, nn.Module cell, Tensor h, Tensor? cT, Tensor x, params (string name, Tensor leaf)[] states)
    {
        c.Check("h", h);
        var loss = (h * c["cot_h"]).sum();
        if (cT is not null) loss += (cT * c["cot_c_T"]).sum();
        loss.backward();
        c.Check("grad_x", x.grad);
        foreach (var (name, leaf) in states) c.Check("grad_" + name, leaf.grad);
        foreach (var (name, parameter) in cell.named_parameters()) c.Check("grad_" + Role(name), parameter.grad);
    }

    private static void Load(nn.Module cell, GoldenCase c) =>
        cell.load_state_dict(cell.state_dict().Keys.ToDictionary(key => key, key => c[Role(key)]));

    private static string Role(string key) => key.Replace("weight_", "W_", StringComparison.Ordinal).Replace('.', '_');

    private static Tensor Leaf(GoldenCase c, string role) => c[role].detach().requires_grad_(true);

    private static long Size(GoldenCase c, string name) => (long)c.Number(name)!;
}

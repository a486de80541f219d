using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Initialization;

/// <summary>What whole-model initialization does to recurrent layers, embeddings and attention.</summary>
public class RecurrentInitTests
{
    public static TheoryData<string, nn.Module, int> Layers => new()
    {
        { "LSTM", nn.LSTM(5, 8, numLayers: 2, bidirectional: true), 4 },
        { "LSTMCell", nn.LSTMCell(5, 8), 4 },
        { "GRU", nn.GRU(5, 8), 3 },
        { "GRUCell", nn.GRUCell(5, 8), 3 },
        { "RNN", nn.RNN(5, 8), 1 },
    };

    [Theory, MemberData(nameof(Layers))]
    public void Recurrent_matrices_are_orthogonal_gate_by_gate_and_an_LSTM_remembers(string name, nn.Module layer, int gates)
    {
        using var scope = NewDisposeScope();
        Assert.Empty(stab.nn.init.initialize_(layer).Untouched);
        foreach (var (parameter, value) in layer.named_parameters())
        {
            if (parameter.StartsWith("weight_hh", StringComparison.Ordinal))
            {
                foreach (var gate in value.detach().split(8))
                    Compare.Close(eye(8), gate.mm(gate.t()), $"{name} {parameter}", Tolerance.Orthogonality32);
            }
            else if (parameter.StartsWith("bias", StringComparison.Ordinal))
            {
                var expected = zeros(8 * gates);
                if (gates == 4 && parameter.StartsWith("bias_ih", StringComparison.Ordinal)) expected.narrow(0, 8, 8).fill_(1);
                Compare.Identical(expected, value.detach(), $"{name} {parameter}");
            }
        }
    }

    [Theory, InlineData(true), InlineData(false)]
    public void Layer_normalized_cells_are_recurrent_layers_with_norms(bool lstm)
    {
        using var scope = NewDisposeScope();
        using nn.Module layer = lstm ? stab.nn.LayerNormLSTM(5, 8, num_layers: 2) : stab.nn.LayerNormGRU(5, 8, num_layers: 2);
        foreach (var p in layer.parameters()) stab.nn.init.constant_(p.requires_grad_(), 9);
        Assert.Empty(stab.nn.init.initialize_(layer).Untouched);
        var state = layer.state_dict();
        foreach (var gate in state["cells.1.weight_hh"].split(8))
            Compare.Close(eye(8), gate.mm(gate.t()), "recurrent", Tolerance.Orthogonality32);
        var bias = zeros(lstm ? 32 : 24);
        if (lstm) bias.narrow(0, 8, 8).fill_(1);
        Compare.Identical(bias, state["cells.0.bias"], "bias");
        foreach (var (name, value) in state.Where(s => s.Key.Contains(".ln_", StringComparison.Ordinal)))
            Assert.True(value.eq(name.EndsWith("weight", StringComparison.Ordinal) ? 1 : 0).all().item<bool>(), name);
    }

    [Fact]
    public void Embedding_keeps_its_padding_row()
    {
        using var scope = NewDisposeScope();
        manual_seed(1);
        var table = nn.Embedding(400, 50, padding_idx: 7);
        var entry = stab.nn.init.initialize_(table, new() { EmbeddingStd = 0.02 }).Entries.Single();
        Assert.Equal("normal, padding row zero", entry.Scheme);
        Assert.Equal([7L], table.weight!.norm(dim: 1).eq(0).nonzero().flatten().data<long>());
        Assert.InRange(entry.StdMeasured, 0.0195, 0.0205);
    }

    [Fact]
    public void Attention_takes_Xavier_for_each_of_query_key_and_value()
    {
        using var layer = nn.TransformerEncoderLayer(16, 4, 32);
        var report = stab.nn.init.initialize_(layer);
        Assert.Empty(report.Untouched);
        Assert.Equal(Math.Sqrt(2.0 / 32), report.Entries.Single(e => e.Parameter == "self_attn.in_proj_weight").StdAsked);
        Assert.Equal("ones", report.Entries.Single(e => e.Parameter == "norm1.weight").Scheme);
    }
}

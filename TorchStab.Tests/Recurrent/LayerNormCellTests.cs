using TorchSharp;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Recurrent;

public class LayerNormCellTests
{
    private static readonly string[] LstmKeys =
        ["weight_ih", "weight_hh", "bias", "ln_ih.weight", "ln_ih.bias", "ln_hh.weight", "ln_hh.bias", "ln_c.weight", "ln_c.bias"];
    private static readonly string[] GruKeys = ["weight_ih", "weight_hh", "bias", "ln_ih_rz.weight", "ln_ih_rz.bias", "ln_hh_rz.weight", "ln_hh_rz.bias",
        "ln_ih_n.weight", "ln_ih_n.bias", "ln_hh_n.weight", "ln_hh_n.bias"];

    [Fact]
    public void State_dict_keys_are_as_documented()
    {
        using var lstm = stab.nn.LayerNormLSTMCell(3, 4);
        using var gru = stab.nn.LayerNormGRUCell(3, 4);
        using var layers = stab.nn.LayerNormLSTM(3, 4, 2, bias: false);
        Assert.Equal(LstmKeys, lstm.state_dict().Keys);
        Assert.Equal(GruKeys, gru.state_dict().Keys);
        Assert.Equal(2 * (LstmKeys.Length - 1), layers.state_dict().Count);
        Assert.Equal(["cells.0.weight_ih", "cells.0.weight_hh", "cells.0.ln_ih.weight"], layers.state_dict().Keys.Take(3));
        Assert.Equal([16, 4], layers.state_dict()["cells.1.weight_ih"].shape);
        Assert.Equal("LayerNormLSTMCell(3, 4, eps=1e-05)", lstm.ToString());
        Assert.Equal("LayerNormLSTM(3, 4, num_layers=2)", layers.ToString());
        Assert.Equal(["ln_ih", "ln_hh", "ln_c"], lstm.named_children().Select(c => c.name));
    }

    [Fact]
    public void A_field_of_a_users_module_has_the_same_keys()
    {
        using var net = new Net();
        Assert.Equal(["rnn.cells.0.weight_ih", "rnn.cells.0.weight_hh", "rnn.cells.0.bias"], net.state_dict().Keys.Take(3));
        Assert.Equal(GruKeys.Length, net.state_dict().Count);
        Assert.Equal(GruKeys.Length, net.parameters().Count());
        net.to(ScalarType.Float64);
        Assert.All(net.state_dict().Values, v => Assert.Equal(ScalarType.Float64, v.dtype));
        using var x = rand(2, 1, 3, dtype: ScalarType.Float64);
        net.forward(x).Dispose();
    }

    [Fact]
    public void Recurrent_weights_start_orthogonal_and_the_forget_gate_open()
    {
        using var scope = NewDisposeScope();
        using var cell = stab.nn.LayerNormLSTMCell(3, 8);
        foreach (var gate in cell.weight_hh.detach().chunk(4))
            Compare.Close(eye(8), gate.mm(gate.t()), "W Wᵀ");
        Compare.Identical(cat([zeros(8), ones(8), zeros(16)]), cell.bias!.detach(), "bias");
        double bound = 1 / Math.Sqrt(8);
        Assert.InRange(cell.weight_ih.abs().max().item<float>(), bound / 2, bound);

        using var plain = stab.nn.LayerNormLSTMCell(3, 8, orthogonal_recurrent: false, unit_forget_bias: false);
        Assert.InRange(plain.weight_hh.abs().max().item<float>(), bound / 2, bound);
        Assert.True(plain.bias!.eq(0).all().item<bool>());
        using var gru = stab.nn.LayerNormGRUCell(3, 8, dtype: ScalarType.BFloat16);
        foreach (var gate in gru.weight_hh.detach().to(ScalarType.Float32).chunk(3))
            Compare.Close(eye(8), gate.mm(gate.t()), "W Wᵀ", Tolerance.BFloat16);
        using var withoutBias = stab.nn.LayerNormLSTMCell(3, 8, bias: false);
        Assert.Null(withoutBias.bias);
    }

    [Fact]
    public void A_seed_gives_the_same_cell()
    {
        using var scope = NewDisposeScope();
        random.manual_seed(7);
        using var first = stab.nn.LayerNormGRU(3, 4, 2);
        random.manual_seed(7);
        using var second = stab.nn.LayerNormGRU(3, 4, 2);
        foreach (var (key, value) in first.state_dict()) Compare.Identical(value, second.state_dict()[key], key);
    }

    [Fact]
    public void Save_and_load_round_trip_and_wrong_state_is_refused_before_anything_is_written()
    {
        using var scope = NewDisposeScope();
        using var saved = stab.nn.LayerNormLSTM(3, 4, 2);
        using var loaded = stab.nn.LayerNormLSTM(3, 4, 2);
        string file = Path.GetTempFileName();
        try
        {
            saved.save(file);
            loaded.load(file);
        }
        finally
        {
            File.Delete(file);
        }
        var state = saved.state_dict();
        foreach (var (key, value) in loaded.state_dict()) Compare.Identical(state[key], value, key);

        var wrong = saved.state_dict().ToDictionary(s => s.Key, s => s.Key == "cells.1.bias" ? zeros(1) : ones_like(s.Value));
        var e = Assert.Throws<InvalidOperationException>(() => loaded.load_state_dict(wrong));
        Assert.Contains("size mismatch for cells.1.bias", e.Message, StringComparison.Ordinal);
        Assert.Throws<InvalidOperationException>(() => loaded.cells[0].load_state_dict([]));
        foreach (var (key, value) in loaded.state_dict()) Compare.Identical(state[key], value, key);
    }

    [Fact]
    public void Moving_keeps_parameters_trainable_and_properties_current()
    {
        using var scope = NewDisposeScope();
        using var cell = stab.nn.LayerNormGRUCell(3, 4);
        cell.weight_hh.requires_grad_(false);
        cell.@double();
        Assert.Equal(ScalarType.Float64, cell.weight_ih.dtype);
        Assert.Equal(ScalarType.Float64, cell.ln_hh_n.weight.dtype);
        Assert.Same(cell.weight_ih, cell.get_parameter("weight_ih"));
        Assert.True(cell.weight_ih.requires_grad && cell.weight_ih.is_leaf && !cell.weight_hh.requires_grad);
        cell.to(DeviceType.CPU);
        cell.to(CPU, ScalarType.Float32);
        Assert.All(cell.parameters(), p => Assert.Equal(ScalarType.Float32, p.dtype));
        Assert.Equal(GruKeys, cell.state_dict().Keys);
        cell.forward(rand(2, 3));
        cell.Dispose();
    }

    [Fact]
    public void Hooks_fire_through_call()
    {
        using var scope = NewDisposeScope();
        using var cell = stab.nn.LayerNormLSTMCell(3, 4);
        int fired = 0;
        cell.register_forward_hook((_, _, _, result) =>
        {
            fired++;
            return result;
        });
        cell.call(rand(2, 3));
        Assert.Equal(1, fired);
    }

    private sealed class Net : nn.Module<Tensor, Tensor>
    {
        private readonly Modules.LayerNormGRU rnn = stab.nn.LayerNormGRU(3, 4);

        public Net() : base(nameof(Net)) => RegisterComponents();

        public override Tensor forward(Tensor input)
        {
            using var scope = NewDisposeScope();
            return rnn.forward(input).output.MoveToOuterDisposeScope();
        }
    }
}

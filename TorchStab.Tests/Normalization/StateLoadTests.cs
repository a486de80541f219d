using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Normalization;

/// <summary>A value that cannot be loaded, or a tensor that cannot take one, is named, and nothing of the module is written.</summary>
public class StateLoadTests
{
    private static readonly Func<nn.Module>[] All =
    [
        () => stab.nn.BatchNorm2d(4), () => stab.nn.BatchRenorm1d(4), () => stab.nn.InstanceNorm1d(4, affine: true, track_running_stats: true),
        () => stab.nn.LayerNorm(6),
        () => stab.nn.GroupNorm(2, 4), () => stab.nn.RMSNorm(6), () => stab.nn.LayerNormGRUCell(3, 4), () => stab.nn.LayerNormLSTM(3, 4, num_layers: 2),
    ];

    private static readonly Func<Tensor, Tensor>[] Bad =
        [t => t.to(META), t => t.to_sparse(), t => t.to(ScalarType.ComplexFloat32), t => zeros(9),
            t => t.to(ScalarType.Float32).unsqueeze(0).expand([2, .. t.shape])];

    [Fact]
    public void A_bad_value_is_named()
    {
        foreach (var make in All)
            foreach (var bad in Bad)
                foreach (bool first in new[] { true, false })
                {
                    using var scope = NewDisposeScope();
                    using var module = make();
                    var values = Threes(module);
                    string key = first ? values.Keys.First() : values.Keys.Last();
                    values[key] = bad(values[key]);
                    AssertRefused(module, key, () => module.load_state_dict(values));
                }
    }

    [Fact]
    public void A_tensor_that_cannot_be_written_is_named()
    {
        foreach (var make in All)
        {
            using var scope = NewDisposeScope();
            using var module = make();
            var (values, (key, last)) = (Threes(module), module.named_parameters().Last());
            using (no_grad()) last.set_(ones(1).expand(last.shape));
            AssertRefused(module, key, () => module.load_state_dict(values));
        }
    }

    /// <summary>Files of old versions have no counter; the module's is then set to 0.</summary>
    [Fact]
    public void A_counter_that_cannot_be_reset_is_named()
    {
        using var scope = NewDisposeScope();
        using var module = stab.nn.BatchNorm2d(4);
        var values = Threes(module);
        values.Remove("num_batches_tracked");
        using (inference_mode()) module.num_batches_tracked = zeros([], ScalarType.Int64);
        AssertRefused(module, "num_batches_tracked", () => module.load_state_dict(values));
    }

    private static Dictionary<string, Tensor> Threes(nn.Module module) =>
        module.state_dict().ToDictionary(entry => entry.Key, entry => entry.Value.detach().clone().fill_(3));

    private static void AssertRefused(nn.Module module, string key, Action load)
    {
        var before = module.state_dict().ToDictionary(entry => entry.Key, entry => entry.Value.detach().clone());
        var error = Record.Exception(load);
        Assert.True(error is ArgumentException or InvalidOperationException, $"{module.GetName()}, {key}: {error}");
        Assert.Contains(key, error.Message, StringComparison.Ordinal);
        foreach (var (name, value) in module.state_dict()) Compare.Identical(before[name], value, $"{module.GetName()}.{name}");
    }
}

using static TorchSharp.torch;

namespace TorchStab.Tests.Surgery;

/// <summary>Every norm of TorchSharp with random state, and an input for it.</summary>
internal static class NormKinds
{
    public static readonly Dictionary<string, Func<ScalarType, (nn.Module<Tensor, Tensor> norm, Tensor input)>> All = new()
    {
        ["BatchNorm1d"] = t => (Random(nn.BatchNorm1d(3, 1e-3, 0.2, dtype: t)), randn(6, 3, dtype: t)),
        ["BatchNorm2d"] = t => (Random(nn.BatchNorm2d(3)), randn(4, 3, 5, 5, dtype: t)),
        ["BatchNorm3d"] = t => (Random(nn.BatchNorm3d(3, affine: false)), randn([2, 3, 4, 4, 4], dtype: t)),
        ["BatchNorm2d, no statistics"] = t => (Random(nn.BatchNorm2d(3, track_running_stats: false)), randn(4, 3, 5, 5, dtype: t)),
        ["InstanceNorm1d"] = t => (Random(nn.InstanceNorm1d(3)), randn(4, 3, 7, dtype: t)),
        ["InstanceNorm2d"] = t => (Random(nn.InstanceNorm2d(3, affine: true, track_running_stats: true)), randn(4, 3, 5, 5, dtype: t)),
        ["InstanceNorm3d"] = t => (Random(nn.InstanceNorm3d(3, affine: true)), randn([2, 3, 4, 4, 4], dtype: t)),
        ["LayerNorm"] = t => (Random(nn.LayerNorm([3, 5], 1e-4)), randn(4, 3, 5, dtype: t)),
        ["LayerNorm, no bias"] = t => (Random(nn.LayerNorm(5, bias: false)), randn(4, 5, dtype: t)),
        ["LayerNorm, no weight"] = t => (Random(nn.LayerNorm(5, elementwise_affine: false)), randn(4, 5, dtype: t)),
        ["GroupNorm"] = t => (Random(nn.GroupNorm(2, 6)), randn(4, 6, 5, dtype: t)),
        ["GroupNorm, no weight"] = t => (Random(nn.GroupNorm(2, 6, affine: false)), randn(4, 6, 5, dtype: t)),
    };

    static NormKinds()
    {
        foreach (var (name, make) in All.ToList())
            All[name] = t =>
            {
                var (norm, input) = make(t);
                return ((nn.Module<Tensor, Tensor>)TorchSharp.ModuleExtensionMethods.to(norm, t), input);
            };
    }

    private static nn.Module<Tensor, Tensor> Random(nn.Module<Tensor, Tensor> norm)
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (name, tensor) in norm.state_dict())
            if (name != "num_batches_tracked") tensor.copy_(name.EndsWith("var", StringComparison.Ordinal) ? rand_like(tensor) + 0.5 : randn_like(tensor));
        return norm;
    }
}

using TorchSharp;
using static TorchSharp.torch;

namespace TorchStab.Tests.Reparametrization;

/// <summary>One layer of each kind that can be parametrized, with an input for it.</summary>
internal static class ParametrizedLayers
{
    public static readonly Dictionary<string, Func<(nn.Module<Tensor, Tensor> Layer, Tensor Input)>> All = new()
    {
        ["Linear"] = () => (nn.Linear(5, 3, dtype: ScalarType.Float64), randn(2, 5, ScalarType.Float64)),
        ["Linear without bias"] = () => (nn.Linear(5, 3, hasBias: false, dtype: ScalarType.Float64), randn(2, 5, ScalarType.Float64)),
        ["Conv1d"] = () => (nn.Conv1d(4, 6, 3, padding: 1, groups: 2, dtype: ScalarType.Float64), randn(2, 4, 7, ScalarType.Float64)),
        ["Conv1d, same"] = () => (nn.Conv1d(4, 6, 4, padding: Padding.Same, dtype: ScalarType.Float64), randn(2, 4, 9, ScalarType.Float64)),
        ["Conv2d"] = () => (nn.Conv2d(3, 4, (3, 2), stride: (2, 1), padding: (1, 0), dtype: ScalarType.Float64), randn(2, 3, 6, 5, ScalarType.Float64)),
        ["Conv2d, reflected"] = () => (nn.Conv2d(3, 4, 3, padding: 1, padding_mode: PaddingModes.Reflect, dtype: ScalarType.Float64),
            randn(2, 3, 6, 5, ScalarType.Float64)),
        ["Conv3d"] = () => (nn.Conv3d(2, 3, 2, dilation: 2, dtype: ScalarType.Float64), randn([1, 2, 4, 5, 4], ScalarType.Float64)),
        ["ConvTranspose1d"] = () => (nn.ConvTranspose1d(4, 6, 3, stride: 2, output_padding: 1, dtype: ScalarType.Float64), randn(2, 4, 5, ScalarType.Float64)),
        ["ConvTranspose2d"] = () => (nn.ConvTranspose2d(4, 6, 3, stride: 2, padding: 1, groups: 2, dtype: ScalarType.Float64),
            randn(2, 4, 5, 4, ScalarType.Float64)),
        ["ConvTranspose3d"] = () => (nn.ConvTranspose3d(2, 3, 2, dtype: ScalarType.Float64), randn([1, 2, 3, 3, 3], ScalarType.Float64)),
        ["Embedding"] = () => (nn.Embedding(7, 4, padding_idx: 2, dtype: ScalarType.Float64), tensor(new long[] { 1, 2, 5, 6, 2, 0 }, 2, 3)),
    };

    public static TheoryData<string> Kinds => [.. All.Keys];

    /// <summary>The gradients of a random weighting of the output, for the parameters, as a table by name.</summary>
    public static Dictionary<string, Tensor> Gradients(Tensor output, Tensor upstream, nn.Module module)
    {
        output.backward([upstream]);
        return module.named_parameters().ToDictionary(p => p.name, p => p.parameter.grad!.detach().clone());
    }
}

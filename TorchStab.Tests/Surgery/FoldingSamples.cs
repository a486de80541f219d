using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Surgery;

/// <summary>Builds the layers of the golden cases, and folds whatever is given.</summary>
internal static class FoldingSamples
{
    public static nn.Module<Tensor, Tensor> Fuse(nn.Module<Tensor, Tensor> layer, nn.Module<Tensor, Tensor> norm) =>
        layer is Linear linear ? stab.nn.utils.fuse_linear_bn_eval(linear, norm) : stab.nn.utils.fuse_conv_bn_eval(layer, norm);

    public static nn.Module<Tensor, Tensor> Layer(GoldenCase c)
    {
        long[] a = [.. c.Params.GetProperty("args").EnumerateArray().Select(x => x.GetInt64())];
        long stride = (long)(c.Number("stride") ?? 1), padding = (long)(c.Number("padding") ?? 0);
        bool bias = c.Flag("bias", true);
        nn.Module<Tensor, Tensor> layer = c.Op switch
        {
            "Conv1d" => nn.Conv1d(a[0], a[1], a[2], stride, padding, bias: bias, dtype: c.Dtype),
            "Conv2d" => nn.Conv2d(a[0], a[1], a[2], stride, padding, bias: bias, dtype: c.Dtype),
            "Conv3d" => nn.Conv3d(a[0], a[1], a[2], stride, padding, bias: bias, dtype: c.Dtype),
            "ConvTranspose1d" => nn.ConvTranspose1d(a[0], a[1], a[2], stride, padding, bias: bias, dtype: c.Dtype),
            "ConvTranspose2d" => nn.ConvTranspose2d(a[0], a[1], a[2], stride, padding, bias: bias, dtype: c.Dtype),
            "ConvTranspose3d" => nn.ConvTranspose3d(a[0], a[1], a[2], stride, padding, bias: bias, dtype: c.Dtype),
            "Linear" => nn.Linear(a[0], a[1], bias, dtype: c.Dtype),
            _ => throw new ArgumentException($"no layer '{c.Op}'", nameof(c)),
        };
        Load(c, layer, ("weight", "weight"), ("bias", "bias"));
        layer.eval();
        return layer;
    }

    public static nn.Module<Tensor, Tensor> Norm(GoldenCase c, nn.Module<Tensor, Tensor> layer)
    {
        long channels = layer is Convolution conv ? conv.out_channels : ((Linear)layer).out_features;
        double eps = c.Json.TryGetProperty("bn", out var bn) && bn.TryGetProperty("eps", out var e) ? e.GetDouble() : 1e-5;
        bool affine = c.ExpectsError || c.Has("bn_weight");
        nn.Module<Tensor, Tensor> norm = c.Op[^2] switch
        {
            '2' => nn.BatchNorm2d(channels, eps, affine: affine, dtype: c.Dtype),
            '3' => nn.BatchNorm3d(channels, eps, affine: affine, dtype: c.Dtype),
            _ => nn.BatchNorm1d(channels, eps, affine: affine, dtype: c.Dtype),
        };
        Load(c, norm, ("weight", "bn_weight"), ("bias", "bn_bias"), ("running_mean", "running_mean"), ("running_var", "running_var"));
        norm.eval();
        return norm;
    }

    private static void Load(GoldenCase c, nn.Module module, params (string name, string role)[] tensors)
    {
        using var _ = no_grad();
        foreach (var (name, role) in tensors)
            if (c.Has(role)) (module.get_parameter(name) ?? module.get_buffer(name))!.copy_(c[role]);
    }

    /// <summary>A layer with settings the golden cases lack, its output channels, and an input for it.</summary>
    public static readonly Dictionary<string, Func<ScalarType, (nn.Module<Tensor, Tensor> layer, long channels, Tensor input)>> Settings = new()
    {
        ["grouped"] = t => (nn.Conv2d(4, 6, 3, groups: 2, dtype: t), 6, randn(2, 4, 7, 7, dtype: t)),
        ["depthwise without bias"] = t => (nn.Conv2d(4, 4, 3, padding: 1, groups: 4, bias: false, dtype: t), 4, randn(2, 4, 7, 7, dtype: t)),
        ["dilated, strided"] = t => (nn.Conv2d(2, 3, (3, 2), stride: (2, 1), padding: (2, 1), dilation: (2, 1), dtype: t), 3, randn(2, 2, 9, 8, dtype: t)),
        ["same padding"] = t => (nn.Conv2d(2, 3, 3, Padding.Same, dtype: t), 3, randn(2, 2, 6, 6, dtype: t)),
        ["reflecting"] = t => (nn.Conv1d(2, 3, 3, padding: 2, padding_mode: PaddingModes.Reflect, dtype: t), 3, randn(2, 2, 8, dtype: t)),
        ["replicating"] = t => (nn.Conv2d(2, 3, 3, padding: 1, padding_mode: PaddingModes.Replicate, dtype: t), 3, randn(2, 2, 6, 6, dtype: t)),
        ["circular"] = t => (nn.Conv3d(2, 3, 3, padding: 1, padding_mode: PaddingModes.Circular, dtype: t), 3, randn([2, 2, 4, 4, 4], dtype: t)),
        ["transposed, grouped"] = t => (nn.ConvTranspose1d(4, 6, 3, stride: 2, groups: 2, dtype: t), 6, randn(2, 4, 5, dtype: t)),
        ["transposed, depthwise"] = t => (nn.ConvTranspose2d(4, 4, 2, groups: 4, bias: false, dtype: t), 4, randn(2, 4, 5, 5, dtype: t)),
        ["transposed, all settings"] = t =>
            (nn.ConvTranspose2d(6, 9, (3, 2), (2, 2), (1, 0), (1, 1), (2, 1), groups: 3, dtype: t), 9, randn(2, 6, 4, 5, dtype: t)),
        ["transposed 3d, grouped"] = t => (nn.ConvTranspose3d(4, 2, 2, groups: 2, dtype: t), 2, randn([2, 4, 3, 3, 3], dtype: t)),
        ["linear without bias"] = t => (nn.Linear(4, 3, hasBias: false, dtype: t), 3, randn(5, 4, dtype: t)),
        ["linear, norm of one channel"] = t => (nn.Linear(4, 3, dtype: t), 1, randn(5, 1, 4, dtype: t)),
    };

    /// <summary>The norm of the layer's rank with random statistics, weights and an unusual eps, in eval mode.</summary>
    public static nn.Module<Tensor, Tensor> RandomNorm(nn.Module<Tensor, Tensor> layer, long channels, bool affine, ScalarType dtype)
    {
        nn.Module<Tensor, Tensor> norm = (layer is Convolution c ? c.kernel_size.Length : 1) switch
        {
            2 => nn.BatchNorm2d(channels, 3e-3, affine: affine, dtype: dtype),
            3 => nn.BatchNorm3d(channels, 3e-3, affine: affine, dtype: dtype),
            _ => nn.BatchNorm1d(channels, 3e-3, affine: affine, dtype: dtype),
        };
        using var _ = no_grad();
        foreach (var (name, tensor) in norm.state_dict())
            if (name != "num_batches_tracked") tensor.copy_(name == "running_var" ? rand_like(tensor) + 0.5 : randn_like(tensor));
        norm.eval();
        return norm;
    }

    public static List<(Tensor tensor, Tensor value)> Snapshot(params nn.Module[] modules) =>
        [.. modules.SelectMany(m => m.state_dict().Values).Select(t => (t, t.detach().clone()))];
}

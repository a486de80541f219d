using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Comparisons;

/// <summary>
/// Norms of half-precision inputs with float32 parameters, forward and backward, as an autocast region gives them: TorchStab's norm of the same values in
/// float32 stands in libtorch's column. float16 has no target: .NET has no vector instruction that converts it.
/// </summary>
internal sealed class HalfNorms : IComparison
{
    private const double Agreement = 1.0 / 64; // two units in the last place of bfloat16, of the largest value

    public string Name => "Half-precision norms";

    public IEnumerable<Pair> Cases(bool quick) => quick ? Norms().Take(2) : Norms();

    private static IEnumerable<Pair> Norms()
    {
        foreach (var dtype in new[] { ScalarType.BFloat16, ScalarType.Float16 })
        {
            yield return Training("LayerNorm", dtype, stab.nn.LayerNorm(768), [256, 768]);
            yield return Training("LayerNorm", dtype, stab.nn.LayerNorm(1024), [4096, 1024]);
            yield return Training("RMSNorm", dtype, stab.nn.RMSNorm(1024), [4096, 1024]);
            yield return Training("BatchNorm", dtype, stab.nn.BatchNorm2d(128), [64, 128, 28, 28]);
            yield return Training("BatchNorm", dtype, stab.nn.BatchNorm2d(128), [64, 128, 28, 28], channelsLast: true);
            yield return Training("GroupNorm", dtype, stab.nn.GroupNorm(32, 256), [16, 256, 14, 14]);
            yield return Training("LayerNorm2d", dtype, stab.nn.LayerNorm2d(192), [32, 192, 28, 28]);
        }
    }

    private static Pair Training(string norm, ScalarType dtype, nn.Module<Tensor, Tensor> module, long[] shape, bool channelsLast = false)
    {
        Tensor x = Input(shape, channelsLast), dy = Input(shape, channelsLast), half = x.to(dtype).requires_grad_(), halfGradient = dy.to(dtype);
        x.requires_grad_();
        string name = $"{norm} {string.Join('×', shape)}{(channelsLast ? ", channels_last" : "")}, {dtype} (float32)";
        return new(name, () => Discard(Run(x, dy)), () => Discard(Run(half, halfGradient)), 5 * sizeof(short) * x.numel(), dtype == ScalarType.BFloat16 ? 1
            : null, 1.5, Verify, Release);

        Tensor[] Run(Tensor input, Tensor upstream)
        {
            var y = module.call(input);
            return [y, .. autograd.grad([y], [input, .. module.parameters()], [upstream])];
        }

        void Verify()
        {
            using var scope = NewDisposeScope();
            foreach (var (a, b) in Run(x, dy).Zip(Run(half, halfGradient)))
            {
                double scale = Math.Max(1, a.abs().max().item<float>()), worst = (a - b.to(ScalarType.Float32)).abs().max().item<float>();
                if (!(worst <= Agreement * scale)) throw new InvalidOperationException($"{name}: the two sides differ by {worst} of {scale}");
            }
        }

        void Release()
        {
            Discard([x, dy, half, halfGradient]);
            module.Dispose();
        }
    }

    private static Tensor Input(long[] shape, bool channelsLast)
    {
        using var scope = NewDisposeScope();
        var x = channelsLast ? randn(shape[0], shape[2], shape[3], shape[1]).permute(0, 3, 1, 2) : randn(shape);
        return x.MoveToOuterDisposeScope();
    }

    private static void Discard(IEnumerable<Tensor> tensors)
    {
        foreach (var tensor in tensors) tensor.Dispose();
    }
}

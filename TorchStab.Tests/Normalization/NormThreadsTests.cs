using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Normalization;

/// <summary>A module in eval mode may be called by several threads at once, and any number of threads gives the same bits.</summary>
public class NormThreadsTests
{
    private const int Threads = 4, Calls = 50;

    internal static readonly string[] Names = ["BatchNorm", "BatchNormReLU", "BatchRenorm", "InstanceNorm", "LayerNorm", "LayerNorm2d", "RMSNorm", "GroupNorm"];

    public static TheoryData<string> Modules => [.. Names];

    [Theory]
    [MemberData(nameof(Modules))]
    public void Four_threads_evaluate_one_module(string name)
    {
        using var scope = NewDisposeScope();
        using var module = Create(name);
        module.eval();
        var input = randn(8, 8, 24, 24); // large enough for the threads of the kernels
        var expected = module.call(input);
        AtOnce.Run(Threads, _ =>
        {
            for (int i = 0; i < Calls; i++)
            {
                using var inner = NewDisposeScope();
                Compare.Identical(expected, module.call(input), name);
            }
        });
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public void Any_number_of_threads_gives_the_same_bits(string name)
    {
        int threads = get_num_threads();
        try
        {
            foreach (long[] shape in new long[][] { [8, 8, 24, 24], [300, 8, 2, 24], [3, 8, 211, 24] })
                foreach (bool last in new[] { false, true })
                    foreach (bool train in new[] { true, false }) CompareCounts(name, shape, last, train);
        }
        finally
        {
            set_num_threads(threads);
        }
    }

    private static void CompareCounts(string name, long[] shape, bool last, bool train)
    {
        using var scope = NewDisposeScope();
        var x = last ? randn(shape[0], shape[2], shape[3], shape[1]).permute(0, 3, 1, 2) : randn(shape);
        x = x.detach().requires_grad_(true);
        var upstream = randn_like(x);
        Tensor[]? one = null;
        for (int n = 1; n <= Threads; n++)
        {
            set_num_threads(n);
            using var module = Create(name);
            module.train(train);
            var y = module.call(x);
            Tensor[] results = [y.detach(), .. autograd.grad([y], [x, .. module.parameters()], [upstream]), .. module.buffers().Select(b => b.clone())];
            one ??= results;
            for (int i = 0; i < results.Length; i++)
                Compare.Identical(one[i], results[i], $"{name}, {n} threads, channels_last {last}, training {train}, result {i}");
        }
    }

    internal static nn.Module<Tensor, Tensor> Create(string name) => name switch
    {
        "BatchNorm" => stab.nn.BatchNorm2d(8),
        "BatchNormReLU" => stab.nn.BatchNormReLU2d(8),
        "BatchRenorm" => stab.nn.BatchRenorm2d(8),
        "InstanceNorm" => stab.nn.InstanceNorm2d(8, affine: true),
        "LayerNorm" => stab.nn.LayerNorm(24),
        "LayerNorm2d" => stab.nn.LayerNorm2d(8),
        "RMSNorm" => stab.nn.RMSNorm(24),
        "GroupNorm" => stab.nn.GroupNorm(2, 8),
        _ => throw new FormatException(name),
    };
}

using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Normalization;

/// <summary>A module in eval mode may be called by several threads at once.</summary>
public class NormThreadsTests
{
    private const int Threads = 4, Calls = 50;

    public static TheoryData<string> Modules => ["BatchNorm", "BatchNormReLU", "BatchRenorm", "InstanceNorm", "LayerNorm", "RMSNorm", "GroupNorm"];

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

    private static nn.Module<Tensor, Tensor> Create(string name) => name switch
    {
        "BatchNorm" => stab.nn.BatchNorm2d(8),
        "BatchNormReLU" => stab.nn.BatchNormReLU2d(8),
        "BatchRenorm" => stab.nn.BatchRenorm2d(8),
        "InstanceNorm" => stab.nn.InstanceNorm2d(8),
        "LayerNorm" => stab.nn.LayerNorm(24),
        "RMSNorm" => stab.nn.RMSNorm(24),
        "GroupNorm" => stab.nn.GroupNorm(2, 8),
        _ => throw new FormatException(name),
    };
}

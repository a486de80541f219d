using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Tests.Attacks;

/// <summary>Settings that cannot be honoured are refused by name, at every call; what libtorch survives, TorchStab survives.</summary>
public static class SettingAttacks
{
    /// <summary>A value that the setting does not know.</summary>
    [Attack(Environment = ["TORCHSTAB_KERNELS=fast"])]
    public static void UnknownValue() => Refused("the environment variable TORCHSTAB_KERNELS is 'fast'; expected one of auto, off");

    /// <summary>A number is no name, though an enumeration would take it.</summary>
    [Attack(Environment = ["TORCHSTAB_AUTOGRAD=1"])]
    public static void Number() => Refused("the environment variable TORCHSTAB_AUTOGRAD is '1'; expected one of pooled, function");

    /// <summary>A team that has no room to run, asked for by name.</summary>
    [Attack(Environment = ["TORCHSTAB_THREADS=openmp", "OMP_STACKSIZE=32k"])]
    public static void TeamThatCannotRun() => Refused("the environment variable TORCHSTAB_THREADS is 'openmp', but OMP_STACKSIZE leaves its threads less than 512 KiB of stack");

    /// <summary>Threads of libtorch that are too small for managed code.</summary>
    [Attack(Environment = ["OMP_STACKSIZE=32k", "OMP_NUM_THREADS=4"])]
    public static void SmallStacks()
    {
        using var scope = NewDisposeScope();
        set_num_threads(4);
        var x = randn(2000, 512, requires_grad: true);
        for (int i = 0; i < 20; i++) stab.nn.functional.layer_norm(x, [512]).backward([ones_like(x)]);
        var parameter = new Parameter(randn(1000, 1000)) { grad = randn(1000, 1000) };
        using var optimizer = stab.optim.Adam([parameter]);
        optimizer.step();
    }

    private static void Refused(string message)
    {
        using var scope = NewDisposeScope();
        var parameter = new Parameter(ones(3)) { grad = ones(3) };
        using var optimizer = stab.optim.SGD([parameter], 0.1);
        for (int i = 0; i < 2; i++)
        {
            Expect.Throws<InvalidOperationException>(() => stab.nn.functional.layer_norm(ones(2, 3), [3]), message);
            Expect.Throws<InvalidOperationException>(() => optimizer.step(), message);
        }
        Expect.Close(ones(3), parameter);
    }
}

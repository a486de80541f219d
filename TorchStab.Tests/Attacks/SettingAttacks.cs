using System.Diagnostics;
using TorchSharp.Modules;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Tests.Attacks;

/// <summary>Settings that cannot be honoured are refused by name, at every call; what libtorch survives, TorchStab survives.</summary>
public static class SettingAttacks
{
    /// <summary>A value that the setting does not know.</summary>
    [Attack(Environment = ["TORCHSTAB_KERNELS=fast"])]
    public static void UnknownValue() => Refused("the environment variable TORCHSTAB_KERNELS is 'fast'; expected one of auto, native, off");

    /// <summary>A number is no name, though an enumeration would take it.</summary>
    [Attack(Environment = ["TORCHSTAB_AUTOGRAD=1"])]
    public static void Number() => Refused("the environment variable TORCHSTAB_AUTOGRAD is '1'; expected one of pooled, function");

    /// <summary>A team that has no room to run, asked for by name.</summary>
    [Attack(Environment = ["TORCHSTAB_THREADS=openmp", "OMP_STACKSIZE=32k"])]
    public static void TeamThatCannotRun() =>
        Refused("the environment variable TORCHSTAB_THREADS is 'openmp', but OMP_STACKSIZE leaves its threads less than 512 KiB of stack");

    /// <summary>
    /// The OpenMP team where no libgomp is to be found, as beside a libtorch that was built with another OpenMP: refused where it is asked for, done without
    /// where not. What stands in for that one is libgomp itself under a name that says nothing.
    /// </summary>
    [Attack]
    public static void NoTeam()
    {
        if (!OperatingSystem.IsLinux()) return;
        using var loaded = ones(1);
        string? library = File.ReadLines("/proc/self/maps").Select(line => line[Math.Max(0, line.IndexOf('/', StringComparison.Ordinal))..])
            .FirstOrDefault(path => Path.GetFileName(path).StartsWith("libgomp", StringComparison.Ordinal));
        Expect.True(library is not null, "this process has no libgomp either");
        string folder = Directory.CreateTempSubdirectory("torchstab").FullName, copy = Path.Combine(folder, "team.so");
        File.Copy(library!, copy);
        File.CreateSymbolicLink(Path.Combine(folder, Path.GetFileName(library!)), copy); // found by libtorch; the process maps the file behind it
        try
        {
            Child(nameof(RefusesTeam), ("LD_LIBRARY_PATH", folder), ("TORCHSTAB_THREADS", "openmp"));
            Child(nameof(WorksWithoutTeam), ("LD_LIBRARY_PATH", folder));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>What <see cref="NoTeam"/> starts.</summary>
    public static void RefusesTeam() => Refused("the environment variable TORCHSTAB_THREADS is 'openmp', but the process has no libgomp");

    /// <inheritdoc cref="RefusesTeam"/>
    public static void WorksWithoutTeam()
    {
        Expect.True(ParallelTeam.Kind == TeamKind.ThreadPool, $"the team is {ParallelTeam.Kind}");
        Train();
    }

    /// <summary>Threads of libtorch that are too small for managed code.</summary>
    [Attack(Environment = ["OMP_STACKSIZE=32k", "OMP_NUM_THREADS=4"])]
    public static void SmallStacks() => Train();

    private static void Child(string method, params (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!, [typeof(SettingAttacks).Assembly.Location, $"{nameof(SettingAttacks)}.{method}"]);
        foreach (var (name, value) in environment) start.Environment[name] = value;
        using var process = Process.Start(start)!;
        process.WaitForExit();
        Expect.True(process.ExitCode == 0, $"{method} ended with {process.ExitCode}");
    }

    private static void Train()
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

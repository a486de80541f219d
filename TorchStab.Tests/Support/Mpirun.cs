using System.Diagnostics;

namespace TorchStab.Tests.Support;

/// <summary>Starts programs under mpirun, as many ranks as asked for on this machine.</summary>
internal static class Mpirun
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    public static bool IsMissing { get; } = !stab.distributed.is_available() || !HasMpirun();

    /// <summary>The program that runs what its first argument names.</summary>
    public static string Ranks { get; } = Path.Combine(AppContext.BaseDirectory, "TorchStab.Tests.Ranks.dll");

    public static (int ExitCode, string Output) Run(int ranks, params string[] program) => Run(ranks, null, program);

    /// <summary>The same with a variable of the environment set.</summary>
    public static (int ExitCode, string Output) Run(int ranks, (string Name, string Value)? variable, string[] program)
    {
        var start = new ProcessStartInfo("mpirun", ["--oversubscribe", "-n", $"{ranks}", "dotnet", .. program]);
        if (variable is var (name, value)) start.Environment[name] = value;
        return Run(start);
    }

    /// <summary>Two ranks in network namespaces of their own, as on two hosts.</summary>
    public static (int ExitCode, string Output) RunOnTwoHosts(params string[] program) =>
        Run(new ProcessStartInfo(Repository.File(".ci", "two-hosts"), program));

    /// <summary>Runs and asserts that every rank went to the end.</summary>
    public static string Succeed(int ranks, params string[] program)
    {
        var (exitCode, output) = Run(ranks, program);
        Assert.True(exitCode == 0, $"mpirun -n {ranks} {string.Join(' ', program)} ended with {exitCode}:\n{output}");
        return output;
    }

    private static (int ExitCode, string Output) Run(ProcessStartInfo start)
    {
        (start.RedirectStandardOutput, start.RedirectStandardError) = (true, true);
        // mpirun refuses root, and its ranks would fight libtorch's threads for two cores.
        foreach (string allow in new[] { "OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "OMP_NUM_THREADS" }) start.Environment[allow] = "1";
        start.Environment["OMPI_MCA_mpi_yield_when_idle"] = "1"; // a rank that waits leaves its core to the other tests
        using var process = Process.Start(start)!;
        var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        if (!process.WaitForExit(Patience))
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{start.FileName} {string.Join(' ', start.ArgumentList)} took longer than {Patience}");
        }
        return (process.ExitCode, output.Result + error.Result);
    }

    private static bool HasMpirun() =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(folder => File.Exists(Path.Combine(folder, "mpirun")));
}

/// <summary>
/// A test that needs Open MPI; without it the runner reports it as not run. In a CI on Linux, where .ci/run installs it, the test fails instead.
/// </summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class MpiFactAttribute : FactAttribute
{
    public override string? Skip
    {
        get => Mpirun.IsMissing && !(OperatingSystem.IsLinux() && Environment.GetEnvironmentVariable("CI") == "true")
            ? "not run: Open MPI is not installed (apt-get install openmpi-bin)" : null;
    }
}

/// <summary>A test that needs two network namespaces besides; where this machine gives none the runner reports it as not run.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class TwoHostsFactAttribute : FactAttribute
{
    private const int NotRun = 77;

    private static readonly Lazy<string?> Obstacle = new(() =>
        !OperatingSystem.IsLinux() ? "not run: network namespaces are Linux's" : Mpirun.RunOnTwoHosts("hostname") is (NotRun, var reason)
            ? reason.Trim() : null);

    public override string? Skip
    {
        get => Obstacle.Value;
    }
}

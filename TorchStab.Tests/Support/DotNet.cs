using System.Diagnostics;

namespace TorchStab.Tests.Support;

/// <summary>Runs the dotnet command in a child process.</summary>
internal static class DotNet
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(15);

    /// <summary>Runs to the end. Build servers are off: one would outlive the child and hold its pipes open.</summary>
    public static (int ExitCode, string Output) Run(string folder, params string[] arguments) => Run(folder, [], arguments);

    /// <summary>The same with environment variables for the child; null removes one.</summary>
    public static (int ExitCode, string Output) Run(string folder, (string Name, string? Value)[] environment, string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet", arguments) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };
        // A test run hands its own MSBuild and deps paths down, which would point the child to the wrong files.
        foreach (string name in start.Environment.Keys.Where(IsOfTheParent).ToArray()) start.Environment.Remove(name);
        start.Environment["DOTNET_CLI_USE_MSBUILD_SERVER"] = "0";
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";
        start.Environment["UseSharedCompilation"] = "false";
        start.Environment["DOTNET_NOLOGO"] = "1";
        foreach (var (name, value) in environment)
        {
            if (value is null) start.Environment.Remove(name);
            else start.Environment[name] = value;
        }
        return Run(start);
    }

    /// <summary>Runs a program that needs no dotnet command.</summary>
    public static (int ExitCode, string Output) RunProgram(string program, string folder) =>
        Run(new ProcessStartInfo(program) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true });

    private static (int ExitCode, string Output) Run(ProcessStartInfo start)
    {
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(Patience))
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{start.FileName} {string.Join(' ', start.ArgumentList)} took longer than {Patience}");
        }
        return (process.ExitCode, output.Result + error.Result);
    }

    /// <summary>Runs and asserts that it went well.</summary>
    public static string Succeed(string folder, params string[] arguments)
    {
        var (exitCode, output) = Run(folder, arguments);
        Assert.True(exitCode == 0, $"dotnet {string.Join(' ', arguments)} ended with {exitCode}:\n{output}");
        return output;
    }

    private static bool IsOfTheParent(string variable) =>
        variable.StartsWith("MSBUILD", StringComparison.OrdinalIgnoreCase) || variable.StartsWith("COREHOST", StringComparison.Ordinal)
        || variable is "DOTNET_HOST_PATH" or "TestingPlatformDotnetTestSupport";
}

using System.Diagnostics;
using System.Reflection;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Samples;

/// <summary>TrainMnist as a user runs it: a process of its own, in a folder of the user's.</summary>
[Collection(OtherProcesses.Name)]
public sealed class TrainMnistTests : IDisposable
{
    private static readonly string Program = Path.Combine(AppContext.BaseDirectory, "TrainMnist.dll");
    private readonly string _folder = Directory.CreateTempSubdirectory("torchstab").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void The_same_seed_gives_the_same_numbers_and_TorchStab_learns_what_the_plain_network_does_not()
    {
        string output = DotNet.Succeed(_folder, Program, "--quick");
        Assert.Contains("Accuracy on the test images", output);
        Assert.Contains("Gradient norm by layer", output);
        Assert.True(new FileInfo(Path.Combine(_folder, "out", "train-mnist.png")).Length > 10_000);
        DotNet.Succeed(_folder, Program, "--quick", "--out", "again");
        string csv = File.ReadAllText(Path.Combine(_folder, "out", "train-mnist.csv"));
        Assert.Equal(csv, File.ReadAllText(Path.Combine(_folder, "again", "train-mnist.csv")));
        var accuracies = csv.Split('\n')[1..^1].Select(line => line.Split(',')).GroupBy(f => f[0]).Select(g => double.Parse(g.Last()[3])).ToArray();
        Assert.Equal(3, accuracies.Length);
        Assert.True(accuracies[0] < 0.2 && accuracies[1] > 0.5, csv);
    }

    [Theory]
    [InlineData("TrainMnist", "bfloat16")]
    [InlineData("TrainMnist", "float16")]
    [InlineData("CharRnn", "bfloat16")]
    [InlineData("CharRnn", "float16")]
    public void Half_precision_trains(string sample, string precision)
    {
        // No convolution here that oneDNN's vector kernels could spoil; its scalar ones take five times as long for bfloat16.
        string program = Path.Combine(AppContext.BaseDirectory, $"{sample}.dll");
        var (exitCode, output) = DotNet.Run(_folder, [("ONEDNN_MAX_CPU_ISA", null)], [program, "--quick", "--precision", precision]);
        Assert.True(exitCode == 0, output);
        string csv = File.ReadAllText(Directory.GetFiles(Path.Combine(_folder, "out"), "*.csv").Single());
        Assert.True(csv.Split('\n').Length > 3, csv);
        if (sample == "TrainMnist") Assert.True(csv.Split('\n')[1..^1].Select(line => line.Split(',')).GroupBy(f => f[0]).Select(g => double.Parse(g.Last()[3]))
            .ElementAt(1) > 0.4, csv);
    }

    [Theory]
    [InlineData(2, "--depth is a whole number of at least 1, not '0'", "--depth", "0")]
    [InlineData(2, "--activation is one of sigmoid, tanh, relu", "--activation", "swish")]
    [InlineData(2, "--lr is a finite number above 0, not 'nan'", "--lr", "nan")]
    [InlineData(2, "'--bogus'", "--bogus")]
    [InlineData(1, "train-images-idx3-ubyte.gz is missing", "--data", "nowhere")]
    [InlineData(1, "--batch 5000 is more than the 2000 training images", "--quick", "--batch", "5000")]
    public void What_cannot_be_done_is_said_in_one_line(int expectedExitCode, string expected, params string[] arguments)
    {
        var (exitCode, output) = DotNet.Run(_folder, [Program, .. arguments]);
        Assert.Equal(expectedExitCode, exitCode);
        Assert.Contains(expected, output);
        Assert.Single(output.Trim().Split('\n'));
    }

    [Fact]
    public void A_network_that_diverges_ends_in_an_exit_code_a_line_a_table_and_a_chart_that_say_so()
    {
        var (exitCode, output) = DotNet.Run(_folder, Program, "--quick", "--lr", "1e30", "--norm", "none", "--activation", "relu");
        Assert.Equal(1, exitCode);
        Assert.Contains("error: diverged: ReLU without (the loss of epoch 1 is not finite), ReLU with TorchStab (the loss of epoch 1 is not finite)", output);
        Assert.Matches(@"ReLU without +\| 1, diverged", output);
        Assert.Matches(@"ReLU with TorchStab +\| 1, diverged", output);
        Assert.True(File.Exists(Path.Combine(_folder, "out", "train-mnist.png")));
    }

    [Fact]
    public void Defaults_are_shown_as_they_are_typed_and_the_version_is_the_librarys()
    {
        string help = DotNet.Succeed(_folder, Program, "--help");
        foreach (string typed in new[] { "sigmoid", "batch", "auto", "global", "adam", "cpu" }) Assert.Contains($"[default: {typed}]", help);
        string version = typeof(stab).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion;
        Assert.Equal(version, DotNet.Succeed(_folder, Program, "--version").Trim());
    }

    [Fact]
    public void Interrupted_it_reports_what_was_learned_so_far()
    {
        if (OperatingSystem.IsWindows()) return;
        using var process = Process.Start(Interruptible(Program, "--epochs", "1000", "--depth", "3", "--width", "30"))!;
        using var guard = new Timer(_ => process.Kill(entireProcessTree: true), null, TimeSpan.FromMinutes(3), Timeout.InfiniteTimeSpan);
        string first = "";
        while (!first.Contains("epoch 1/1000", StringComparison.Ordinal))
            first = process.StandardOutput.ReadLine() ?? throw new InvalidOperationException("it ended by itself");
        using (var kill = Process.Start("kill", ["-INT", $"{process.Id}"])) kill.WaitForExit();
        string rest = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.Equal(130, process.ExitCode);
        Assert.Contains("Accuracy on the test images", rest);
        Assert.Contains("interrupted after", rest);
        Assert.True(File.Exists(Path.Combine(_folder, "out", "train-mnist.csv")));
    }

    // A shell's background jobs ignore SIGINT, and so do the children of a test runner started as one: env takes it back where it can.
    private ProcessStartInfo Interruptible(params string[] arguments) =>
        OperatingSystem.IsLinux()
            ? new("env", ["--default-signal=INT", "dotnet", .. arguments]) { WorkingDirectory = _folder, RedirectStandardOutput = true }
            : new("dotnet", arguments) { WorkingDirectory = _folder, RedirectStandardOutput = true };
}

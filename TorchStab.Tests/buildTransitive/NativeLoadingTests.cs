using System.Security.Cryptography;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.buildTransitive;

/// <summary>
/// Programs that reference the package load libtorch, whatever the age of the system's libstdc++: built, run, published. Linux
/// only, as is the step of the build that it takes.
/// </summary>
[Collection(Builds.Name)]
public class NativeLoadingTests(PackedLibrary package)
{
    private const string Program = """
        using TorchStab;
        using static TorchSharp.torch;
        using var norm = stab.nn.LayerNorm(3);
        using var output = norm.call(ones(2, 3));
        Console.WriteLine($"sum {output.sum().item<float>()}");
        """;

    private static readonly string Library = Path.Combine("runtimes", "linux-x64", "native", "libLibTorchSharp.so");

    [Fact]
    public void A_program_runs_and_the_package_cache_stays_as_it_was()
    {
        if (!OperatingSystem.IsLinux()) return;
        string before = Hash(PackedLibrary.OriginalLibrary);
        string folder = package.NewProject("run", Program);
        Assert.Contains("sum 0", DotNet.Succeed(folder, "run"));
        string copy = Path.Combine(folder, "obj", "Debug", "net10.0", "torchstab", "libLibTorchSharp.so");
        Assert.Equal(Hash(copy), Hash(Path.Combine(folder, "bin", "Debug", "net10.0", Library)));
        Assert.Equal(before, Hash(PackedLibrary.OriginalLibrary));
        DotNet.Succeed(folder, "clean");
        Assert.False(File.Exists(copy), "clean leaves the copy");
        Assert.False(File.Exists(Path.Combine(folder, "bin", "Debug", "net10.0", Library)), "clean leaves the output");
    }

    [Fact]
    public void The_switch_turns_it_off_and_on_again_without_a_stale_file()
    {
        if (!OperatingSystem.IsLinux()) return;
        string folder = package.NewProject("switch", Program);
        string output = Path.Combine(folder, "bin", "Debug", "net10.0", Library);
        DotNet.Succeed(folder, "build");
        string weakened = Hash(output);
        DotNet.Succeed(folder, "build", "--no-restore", "-p:TorchStabRelaxLibTorchSharp=false");
        Assert.Equal(Hash(PackedLibrary.OriginalLibrary), Hash(output));
        DotNet.Succeed(folder, "build", "--no-restore");
        Assert.Equal(weakened, Hash(output));
    }

    [Fact]
    public void A_published_program_runs()
    {
        if (!OperatingSystem.IsLinux()) return;
        string folder = package.NewProject("publish", Program);
        DotNet.Succeed(folder, "publish", "-r", "linux-x64", "--self-contained", "false", "-o", "out");
        Assert.NotEqual(Hash(PackedLibrary.OriginalLibrary), Hash(Path.Combine(folder, "out", "libLibTorchSharp.so")));
        Assert.Contains("sum 0", DotNet.Succeed(folder, Path.Combine("out", "publish.dll")));
    }

    [Fact]
    public void Without_a_libtorch_package_the_build_names_the_one_to_add()
    {
        string folder = package.NewProject("backendless", Program, backend: false);
        var (exitCode, output) = DotNet.Run(folder, "build");
        Assert.NotEqual(0, exitCode);
        Assert.Contains("error TORCHSTAB001", output);
        Assert.Contains("dotnet add package TorchSharp-cpu", output);
        DotNet.Succeed(folder, "clean");
        DotNet.Succeed(folder, "build", "--no-restore", "-p:TorchStabCheckBackend=false");
    }

    private static string Hash(string path)
    {
        using var file = File.OpenRead(path);
        return Convert.ToHexString(SHA256.HashData(file));
    }
}

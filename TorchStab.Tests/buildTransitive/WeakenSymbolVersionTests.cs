using TorchStab.Tests.Support;

namespace TorchStab.Tests.buildTransitive;

/// <summary>The build task on its own: what it changes in a library, and what it leaves alone.</summary>
public sealed class WeakenSymbolVersionTests : IDisposable
{
    private const byte Weak = 2;
    private readonly string _folder = Directory.CreateTempSubdirectory("torchstab").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Only_the_one_flag_changes()
    {
        if (!OperatingSystem.IsLinux()) return;
        Weaken(PackedLibrary.OriginalLibrary);
        byte[] before = File.ReadAllBytes(PackedLibrary.OriginalLibrary), after = File.ReadAllBytes(Copy(PackedLibrary.OriginalLibrary));
        Assert.Equal(before.Length, after.Length);
        int[] changed = [.. Enumerable.Range(0, before.Length).Where(i => before[i] != after[i])];
        Assert.Single(changed);
        Assert.Equal(before[changed[0]] | Weak, after[changed[0]]);
    }

    [Fact]
    public void A_library_without_the_entry_and_a_damaged_one_are_left_alone()
    {
        if (!OperatingSystem.IsLinux()) return;
        string other = Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "runtimes", "linux-x64", "native"), "libgomp*").First();
        byte[] library = File.ReadAllBytes(PackedLibrary.OriginalLibrary);
        string truncated = Write("truncated.so", library[..(library.Length / 3)]);
        string headerOnly = Write("header.so", library[..80]);
        string text = Write("text.so", "not a library"u8.ToArray());
        string empty = Write("empty.so", []);
        string[] all = [other, truncated, headerOnly, text, empty];
        Weaken(all);
        Assert.All(all, source => Assert.False(File.Exists(Copy(source)), $"{source} was copied"));
        Assert.All(all, source => Assert.Equal("left alone", File.ReadAllText(Copy(source) + ".stamp")));
    }

    private string Copy(string source) => Path.Combine(_folder, "copies", Path.GetFileName(source));

    private string Write(string name, byte[] content)
    {
        string path = Path.Combine(_folder, name);
        File.WriteAllBytes(path, content);
        return path;
    }

    /// <summary>Runs the task as the package's targets declare it.</summary>
    private void Weaken(params string[] sources)
    {
        string tasks = string.Concat(sources.Select(source =>
            $"""<TorchStab.Build.WeakenSymbolVersion SourceFile="{source}" DestinationFile="{Copy(source)}" StampFile="{Copy(source)}.stamp" VersionName="GLIBCXX_3.4.32" />"""));
        string project = Path.Combine(_folder, "weaken.proj");
        File.WriteAllText(project, $"""
            <Project>
              <Import Project="{Repository.File("TorchStab", "buildTransitive", "TorchStab.targets")}" />
              <Target Name="Weaken">{tasks}</Target>
            </Project>
            """);
        DotNet.Succeed(_folder, "msbuild", project, "-t:Weaken");
    }
}

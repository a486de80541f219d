using TorchStab.Tests.Support;

namespace TorchStab.Tests.buildTransitive;

/// <summary>The build task on its own: what it changes in a library, and what it leaves alone.</summary>
[Collection(Builds.Name)]
public sealed class WeakenSymbolVersionTests : IDisposable
{
    private const byte Weak = 2;

    private const string Damage = """

        namespace TorchStab.Build
        {
            public class DamageLibrary : Task
            {
                [Required] public string SourceFile { get; set; }

                public override bool Execute()
                {
                    byte[] elf = File.ReadAllBytes(SourceFile);
                    int flags = ElfVersionNeeds.FindFlags(elf, "GLIBCXX_3.4.32"), tried = 0;
                    // Headers and segments, the dynamic section, and the requirements around the entry that is looked for.
                    long dynamic = 0;
                    for (int i = 0, at = 64; i < BitConverter.ToUInt16(elf, 56); i++, at += 56)
                        if (BitConverter.ToUInt32(elf, at) == 2) dynamic = BitConverter.ToInt64(elf, at + 8);
                    foreach (int start in new[] { 0, (int)dynamic, flags - 100 })
                    {
                        for (int i = start; i < start + 600; i++)
                        {
                            byte kept = elf[i];
                            foreach (byte value in new byte[] { 0, 1, 0x7f, 0x80, 0xff, (byte)(kept ^ 1), (byte)(kept ^ 0x10) })
                            {
                                elf[i] = value;
                                int found = ElfVersionNeeds.FindFlags(elf, "GLIBCXX_3.4.32");
                                if (found < -1 || found >= elf.Length) Log.LogError("{0} at {1} gives {2}", value, i, found);
                                // Nothing to be found: then every entry is read.
                                ElfVersionNeeds.FindFlags(elf, "NOWHERE");
                                tried++;
                            }
                            elf[i] = kept;
                        }
                    }
                    Log.LogMessage(MessageImportance.High, "tried {0}", tried);
                    return !Log.HasLoggedErrors;
                }
            }
        }
        """;

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

    [Fact]
    public void A_corrupt_library_neither_fails_the_build_nor_holds_it_up()
    {
        if (!OperatingSystem.IsLinux()) return;
        // In the build's own compiler and process: the task's source, and a task beside it that damages every byte it reads.
        string source = Write("fuzz.cs", []);
        File.WriteAllText(source, File.ReadAllText(Repository.File("TorchStab", "buildTransitive", "WeakenSymbolVersion.cs")) + Damage);
        string project = Write("fuzz.proj", []);
        File.WriteAllText(project, $"""
            <Project>
              <UsingTask TaskName="TorchStab.Build.DamageLibrary" TaskFactory="RoslynCodeTaskFactory"
                         AssemblyFile="$(MSBuildToolsPath)/Microsoft.Build.Tasks.Core.dll">
                <Task><Code Type="Class" Language="cs" Source="{source}" /></Task>
              </UsingTask>
              <Target Name="Damage"><TorchStab.Build.DamageLibrary SourceFile="{PackedLibrary.OriginalLibrary}" /></Target>
            </Project>
            """);
        Assert.Contains("tried 12600", DotNet.Succeed(_folder, "msbuild", project, "-t:Damage"), StringComparison.Ordinal);
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
            $"""
            <TorchStab.Build.WeakenSymbolVersion SourceFile="{source}" DestinationFile="{Copy(source)}" StampFile="{Copy(source)}.stamp"
                                                 VersionName="GLIBCXX_3.4.32" />
            """));
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

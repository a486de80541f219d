namespace TorchStab.Tests.Support;

/// <summary>
/// TorchStab as its users get it: packed, and restored by small projects in a temporary folder, offline, from that package
/// and from the packages that building these tests restored.
/// </summary>
public sealed class PackedLibrary : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("torchstab").FullName;
    private readonly Lazy<string> _feed;

    public PackedLibrary() => _feed = new(Pack);

    /// <summary>The folder with TorchStab.nupkg and its symbols, packed when it is first asked for.</summary>
    public string Feed => _feed.Value;

    private string Pack()
    {
        string feed = Path.Combine(_folder, "feed");
        // A version of its own: a package of the released version may be in the cache, and would be taken instead.
        DotNet.Succeed(Repository.Root, "pack", "TorchStab", "--no-build", "-c", Repository.Configuration, "-o", feed,
            $"-p:PackageVersion=99.0.{Random.Shared.Next()}");
        Directory.CreateDirectory(Path.Combine(_folder, "packages"));
        File.WriteAllText(Path.Combine(_folder, "nuget.config"), $"""
            <configuration>
              <config><add key="globalPackagesFolder" value="packages" /></config>
              <packageSources><clear /><add key="feed" value="feed" /></packageSources>
              <fallbackPackageFolders><clear /><add key="cache" value="{PackageCache}" /></fallbackPackageFolders>
            </configuration>
            """);
        return feed;
    }

    /// <summary>Where NuGet unpacked the packages of this build.</summary>
    public static string PackageCache => Environment.GetEnvironmentVariable("NUGET_PACKAGES")
        ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");

    /// <summary>TorchSharp's library as it was released.</summary>
    public static string OriginalLibrary => Path.Combine(PackageCache, "torchsharp", "0.107.0", "runtimes", "linux-x64", "native", "libLibTorchSharp.so");

    /// <summary>Makes a console project that references the package and, unless told otherwise, libtorch for the CPU.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="program">Its one source file.</param>
    /// <param name="backend">Whether it references libtorch.</param>
    /// <param name="fsharp">Whether it is in F#.</param>
    /// <param name="pybridge">Whether it references TorchSharp.PyBridge.</param>
    /// <returns>Its folder.</returns>
    public string NewProject(string name, string program, bool backend = true, bool fsharp = false, bool pybridge = false)
    {
        string folder = Directory.CreateDirectory(Path.Combine(Path.GetDirectoryName(Feed)!, name)).FullName;
        File.WriteAllText(Path.Combine(folder, name + (fsharp ? ".fsproj" : ".csproj")), $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <ImplicitUsings>enable</ImplicitUsings>
                <Nullable>enable</Nullable>
                <TreatWarningsAsErrors>true</TreatWarningsAsErrors>
                <UseAppHost>false</UseAppHost>
                <RunAnalyzers>false</RunAnalyzers>
                <CreateHardLinksForCopyLocalIfPossible>true</CreateHardLinksForCopyLocalIfPossible>
                <CreateHardLinksForPublishFilesIfPossible>true</CreateHardLinksForPublishFilesIfPossible>
              </PropertyGroup>
              <ItemGroup>
                <Compile Include="Program.fs" Condition="'$(MSBuildProjectExtension)' == '.fsproj'" />
                <PackageReference Include="TorchStab" Version="*" />
                <PackageReference Include="TorchSharp-cpu" Version="0.107.0" Condition="{backend.ToString().ToLowerInvariant()}" />
                <PackageReference Include="TorchSharp.PyBridge" Version="1.4.4" Condition="{pybridge.ToString().ToLowerInvariant()}" />
                <PackageReference Include="SharpZipLib" Version="1.4.2" />
                <PackageReference Include="SkiaSharp" Version="3.119.4" />
              </ItemGroup>
            </Project>
            """);
        File.WriteAllText(Path.Combine(folder, fsharp ? "Program.fs" : "Program.cs"), program);
        return folder;
    }

    /// <summary>Lets a project use the package sources of this machine, too. The network may be needed.</summary>
    public static void AddMachineSources(string folder)
    {
        // "E" marks a source that is enabled; its address follows.
        var sources = DotNet.Succeed(Path.GetTempPath(), "nuget", "list", "source", "--format", "short").Split('\n')
            .Where(line => line.StartsWith('E'))
                .Select((line, i) => $"<add key=\"machine{i}\" value=\"{line[(line.IndexOf(' ', StringComparison.Ordinal) + 1)..].Trim()}\" />");
        File.WriteAllText(Path.Combine(folder, "nuget.config"), $"<configuration><packageSources>{string.Concat(sources)}</packageSources></configuration>");
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}

namespace TorchStab.Tests.Support;

/// <summary>The compilers of the .NET SDK, with what these tests themselves reference.</summary>
internal sealed class Compilers : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("torchstab").FullName;

    private static string[] References { get; } =
    [
        .. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)
            .Where(path => Path.GetFileName(path) is var name && (name.StartsWith("System.", StringComparison.Ordinal)
                || name is "mscorlib.dll" or "netstandard.dll" or "TorchSharp.dll" or "TorchStab.dll" or "FSharp.Core.dll")),
    ];

    /// <summary>Compiles a file of C#; a warning is an error.</summary>
    public byte[] CSharp(string source) =>
        Compile("Roslyn/bincore/csc.dll", "edited.cs", source, ["-warnaserror", "-nologo", "-nostdlib", "-t:library"], "-out:", "\"");

    /// <summary>Compiles a file of F#.</summary>
    public byte[] FSharp(string source) =>
        Compile("FSharp/fsc.dll", "edited.fs", source,
            ["--nologo", "--noframework", "--targetprofile:netcore", "--target:library", "--nowin32manifest", "--warnaserror"], "--out:", "");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private byte[] Compile(string compiler, string file, string source, string[] options, string output, string quote)
    {
        string path = Path.Combine(_folder, file), made = Path.Combine(_folder, Path.GetRandomFileName() + ".dll"),
            arguments = Path.Combine(_folder, "arguments.rsp");
        File.WriteAllText(path, source);
        File.WriteAllLines(arguments, [.. options, .. References.Select(r => $"-r:{quote}{r}{quote}")]);
        var (exitCode, text) = DotNet.Run(_folder, Path.Combine(Sdk(), compiler), $"@{arguments}", output + made, path);
        Assert.True(exitCode == 0, $"{compiler}:\n{text}\n{source}");
        return File.ReadAllBytes(made);
    }

    // "10.0.401 [/usr/share/dotnet/sdk]"; the one that builds this repository.
    private static string Sdk()
    {
        string version = DotNet.Succeed(Repository.Root, "--version").Trim();
        string line = DotNet.Succeed(Repository.Root, "--list-sdks").Split('\n').First(l => l.StartsWith(version + " ", StringComparison.Ordinal));
        return Path.Combine(line[(line.IndexOf('[', StringComparison.Ordinal) + 1)..].Trim().TrimEnd(']'), version);
    }
}

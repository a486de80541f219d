using System.IO.Compression;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using TorchStab.Tests.Support;

namespace TorchStab.Tests;

/// <summary>What is in the package, and what it is to a project that uses it.</summary>
[Collection(Builds.Name)]
public sealed partial class PackageTests(PackedLibrary library)
{
    private static readonly Guid EmbeddedSource = new("0E8A571B-6926-466E-B4AD-8AB04611F5FE");

    [Fact]
    public void It_holds_the_library_its_docs_the_build_step_and_nothing_else()
    {
        using var package = Open(".nupkg");
        string[] files = [.. package.Entries.Select(e => e.FullName).Where(name => !name.StartsWith("_rels/", StringComparison.Ordinal)
            && !name.StartsWith("package/", StringComparison.Ordinal) && name != "[Content_Types].xml").Order(StringComparer.Ordinal)];
        Assert.Equal(["README.md", "TorchStab.nuspec", "buildTransitive/TorchStab.targets", "buildTransitive/WeakenSymbolVersion.cs", "icon.png",
            "lib/net8.0/TorchStab.dll", "lib/net8.0/TorchStab.xml"], files);
    }

    [Fact]
    public void It_depends_on_TorchSharp_only_and_says_what_it_is()
    {
        using var package = Open(".nupkg");
        using var nuspec = package.GetEntry("TorchStab.nuspec")!.Open();
        var metadata = XDocument.Load(nuspec).Root!.Elements().Single();
        string Value(string name) => metadata.Elements().Single(e => e.Name.LocalName == name).Value;
        var group = metadata.Descendants().Single(e => e.Name.LocalName == "group");
        Assert.Equal("net8.0", group.Attribute("targetFramework")!.Value);
        Assert.Equal([("TorchSharp", "0.107.0")], group.Elements().Select(d => (d.Attribute("id")!.Value, d.Attribute("version")!.Value)));
        Assert.Equal(("TorchStab", "MIT", "README.md", "icon.png"), (Value("id"), Value("license"), Value("readme"), Value("icon")));
        Assert.Matches(@"^\d+\.\d+\.\d+(-[\w.]+)?$", Value("version"));
        Assert.All(["authors", "description", "tags", "copyright"], name => Assert.NotEmpty(Value(name)));
    }

    /// <summary>The repository's, without what is marked there as about the repository: no commands that need it, no links that lead nowhere.</summary>
    [Fact]
    public void Its_readme_stands_alone()
    {
        using var package = Open(".nupkg");
        using var reader = new StreamReader(package.GetEntry("README.md")!.Open());
        string packed = reader.ReadToEnd(), ours = File.ReadAllText(Repository.File("README.md"));
        Assert.All(Link().Matches(packed), link => Assert.StartsWith("https://", link.Groups[1].Value));
        foreach (string ofTheRepository in new[] { "<!--", "](samples", "dotnet run", "dotnet test", "dotnet pack", ".md",
            "samples/" }) Assert.DoesNotContain(ofTheRepository, packed);
        Assert.Equal(Program().Match(ours).Value, Program().Match(packed).Value);
        string[] table = [.. ours.Split('\n').Where(line => line.StartsWith("| `torch", StringComparison.Ordinal))];
        Assert.True(table.Length > 5);
        Assert.All(table, line => Assert.Contains(line, packed));
        foreach (string title in new[] { "# TorchStab", "## Install", "## Paste this", "## Swap this for that", "## Speed", "## Licence" })
            Assert.Contains("\n" + title + "\n", "\n" + packed);
    }

    [Fact]
    public void The_icon_is_128_pixels_square()
    {
        using var package = Open(".nupkg");
        using var icon = package.GetEntry("icon.png")!.Open();
        byte[] header = new byte[24];
        icon.ReadExactly(header);
        Assert.Equal((128, 128), (System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(16)),
            System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(20))));
    }

    [Fact]
    public void The_symbols_carry_every_source_and_belong_to_the_library()
    {
        using var symbols = Open(".snupkg");
        using var pdb = Unpack(symbols, "lib/net8.0/TorchStab.pdb");
        using var provider = MetadataReaderProvider.FromPortablePdbStream(pdb);
        var reader = provider.GetMetadataReader();
        var embedded = reader.CustomDebugInformation.Select(reader.GetCustomDebugInformation)
            .Where(d => reader.GetGuid(d.Kind) == EmbeddedSource).Select(d => d.Parent).ToHashSet();
        Assert.All(reader.Documents, document => Assert.Contains(document, embedded));

        using var package = Open(".nupkg");
        using var library = new PEReader(Unpack(package, "lib/net8.0/TorchStab.dll"));
        var entry = library.ReadDebugDirectory().Single(e => e.Type == DebugDirectoryEntryType.CodeView);
        Assert.Equal(library.ReadCodeViewDebugDirectoryData(entry).Guid, new BlobContentId(reader.DebugMetadataHeader!.Id).Guid);
    }

    /// <summary>
    /// An editor reads the file in for every project that uses the package: what its users cannot see is not in it, and all that they see is.
    /// </summary>
    [Fact]
    public void Its_documentation_is_of_the_public_members_and_says_nothing_twice()
    {
        using var package = Open(".nupkg");
        using var file = package.GetEntry("lib/net8.0/TorchStab.xml")!.Open();
        var members = XDocument.Load(file).Descendants("member").ToDictionary(m => m.Attribute("name")!.Value);
        var exported = typeof(stab).Assembly.GetExportedTypes().Select(t => $"T:{t.FullName!.Replace('+', '.')}").ToHashSet();
        SourceFile.AssertNone(members.Keys.Where(id => id.StartsWith("T:", StringComparison.Ordinal) && !exported.Contains(id)));
        SourceFile.AssertNone(members.Keys.Where(id => XmlDocs.IsInternal(id)));
        SourceFile.AssertNone(XmlDocs.PublicIds.Where(id => !members.ContainsKey(id)));
        SourceFile.AssertNone(members.GroupBy(m => m.Value.Element("summary")?.ToString() ?? m.Key).Where(same => same.Count() > 1)
            .Select(same => string.Join(" and ", same.Select(m => m.Key)) + $" share {same.Key}"));
    }

    [Fact]
    public void A_project_in_FSharp_trains()
    {
        string folder = library.NewProject("fsharp", """
            open TorchStab
            open TorchSharp
            let model = torch.nn.Linear(4L, 2L)
            let norm = stab.nn.LayerNorm(2L)
            stab.nn.init.xavier_normal_(model.weight) |> ignore
            let optimizer = stab.optim.Adam(Seq.append (model.parameters()) (norm.parameters()), lr = 0.01, global_clipnorm = 1.0)
            let loss = norm.call(model.call(torch.ones(8L, 4L))).square().mean()
            loss.backward()
            optimizer.step() |> ignore
            printfn $"skipped {optimizer.LastStep.Skipped}"
            """, fsharp: true);
        Assert.Contains("skipped False", DotNet.Succeed(folder, "run"));
    }

    [GeneratedRegex(@"\]\(([^)]*)\)")]
    private static partial Regex Link();

    [GeneratedRegex("```csharp.*?```", RegexOptions.Singleline)]
    private static partial Regex Program();

    private ZipArchive Open(string extension) => ZipFile.OpenRead(Directory.EnumerateFiles(library.Feed).Single(path => Path.GetExtension(path) == extension));

    private static MemoryStream Unpack(ZipArchive archive, string name)
    {
        var copy = new MemoryStream();
        using (var entry = archive.GetEntry(name)!.Open()) entry.CopyTo(copy);
        copy.Position = 0;
        return copy;
    }
}

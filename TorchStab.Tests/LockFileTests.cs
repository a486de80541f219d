using System.Text.Json;
using TorchStab.Tests.Support;

namespace TorchStab.Tests;

/// <summary>The restore is the same everywhere: each project's packages are locked, for any system and from any feed.</summary>
public class LockFileTests
{
    public static TheoryData<string> Projects =>
        [.. new[] { "TorchStab", "TorchStab.Tests", "samples" }.SelectMany(folder => Repository.Sources(folder, "*.csproj"))];

    [Theory]
    [MemberData(nameof(Projects))]
    public void Packages_are_locked_by_hash_without_a_feed_or_a_runtime(string project)
    {
        string text = File.ReadAllText(Path.Combine(Path.GetDirectoryName(Repository.File(project))!, "packages.lock.json"));
        Assert.DoesNotContain("://", text);
        using var json = JsonDocument.Parse(text);
        var framework = Assert.Single(json.RootElement.GetProperty("dependencies").EnumerateObject()); // one more for each runtime it was locked to
        Assert.DoesNotContain('/', framework.Name);
        Assert.All(framework.Value.EnumerateObject().Where(p => p.Value.GetProperty("type").GetString() != "Project"),
            p => Assert.NotEmpty(p.Value.GetProperty("contentHash").GetString()!));
    }
}

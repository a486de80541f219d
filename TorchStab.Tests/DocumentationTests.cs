using System.Xml.Linq;

namespace TorchStab.Tests;

/// <summary>What an editor shows of a function of the façade: what it does, takes, gives and refuses. The compiler asks for the rest of the public surface.</summary>
public class DocumentationTests
{
    private static readonly XElement[] Members = [.. XDocument.Load(Path.Combine(AppContext.BaseDirectory, "TorchStab.xml")).Descendants("member")];

    [Fact]
    public void Every_function_says_what_it_does_gives_and_refuses()
    {
        HashSet<string> nothing = [.. Types(typeof(stab)).SelectMany(t => t.GetMethods()).Where(m => m.ReturnType == typeof(void)).Select(m => m.Name)];
        var functions = Members.Where(m => Name(m).StartsWith("M:TorchStab.stab.", StringComparison.Ordinal) && m.Element("inheritdoc") is null).ToList();
        Assert.True(functions.Count > 30, $"only {functions.Count} functions");
        Assert.All(functions, f =>
        {
            string[] wanted = nothing.Contains(Name(f).Split('(')[0].Split('.')[^1]) ? ["summary", "exception"] : ["summary", "returns", "exception"];
            Assert.All(wanted, tag => Assert.True(f.Elements(tag).Any(), $"{Name(f)} has no {tag}"));
            Assert.All(f.Elements(), e => Assert.True(e.Value.Length + e.Descendants().Count() > 0, $"{Name(f)}: an empty {e.Name}"));
        });
    }

    private static string Name(XElement member) => member.Attribute("name")!.Value;

    private static IEnumerable<Type> Types(Type type) => type.GetNestedTypes().SelectMany(Types).Prepend(type);
}

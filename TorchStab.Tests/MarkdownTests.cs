using System.Text.RegularExpressions;
using TorchStab.Tests.Support;

namespace TorchStab.Tests;

/// <summary>What the Markdown of the repository says holds: files it links exist, tests it names exist, its C# compiles and runs.</summary>
[Collection(Builds.Name)]
public partial class MarkdownTests(PackedLibrary package)
{
    private const string End = "== end of the snippet ==";

    // What a snippet may take as given.
    private const string Given = """
        internal sealed class BasicBlock() : TorchSharp.Modules.Sequential(("linear", nn.Linear(4, 4)));
        internal sealed class Block : nn.Module<Tensor, Tensor>
        {
            private readonly nn.Module<Tensor, Tensor> norm = stab.nn.RMSNorm(8), up = nn.Linear(8, 32), act = nn.GELU(), down = nn.Linear(32, 8);
            public Block() : base(nameof(Block)) => RegisterComponents();
            public override Tensor forward(Tensor x) => x + down.call(act.call(up.call(norm.call(x))));
        }
        internal static class Given
        {
            public static TorchSharp.Modules.Sequential model { get; } =
                nn.Sequential(("first", nn.Linear(4, 4)), ("norm", nn.BatchNorm1d(4)), ("block", new BasicBlock()));
            public static optim.Optimizer optimizer { get; } = stab.optim.Adam(model.parameters());
            public static (Tensor, Tensor)[] batches { get; } = [(rand(8, 4), rand(8, 4))];
            public static Tensor loss(Tensor prediction, Tensor target) => nn.functional.mse_loss(prediction, target);
        }
        """;

    private static readonly string[] Paths = [.. Directory.EnumerateFiles(Repository.Root, "*.md").Select(path => Path.GetFileName(path)),
        .. new[] { "TorchStab", "TorchStab.Tests", "samples" }.SelectMany(folder => Repository.Sources(folder, "*.md"))];

    public static TheoryData<string> Files => [.. Paths];

    [Theory]
    [MemberData(nameof(Files))]
    public void The_files_it_links_exist(string file)
    {
        string folder = Path.GetDirectoryName(Repository.File(file))!;
        var links = Link().Matches(File.ReadAllText(Repository.File(file))).Select(m => m.Groups[1].Value)
            .Where(link => !link.Contains("://", StringComparison.Ordinal) && !link.StartsWith('#'));
        Assert.All(links, link => Assert.True(Path.Exists(Path.Combine(folder, link)), $"{link} is missing"));
    }

    [Fact]
    public void The_tests_it_names_exist()
    {
        var types = typeof(MarkdownTests).Assembly.GetTypes();
        HashSet<string> known = [.. types.Select(t => t.Name), .. types.SelectMany(t => t.GetMethods().Select(m => $"{t.Name}.{m.Name}"))];
        var named = Paths.SelectMany(file => TestName().Matches(File.ReadAllText(Repository.File(file))).Select(m => m.Groups[1].Value)).ToList();
        Assert.NotEmpty(named);
        Assert.All(named, name => Assert.Contains(name, known));
    }

    /// <summary>
    /// All in one program, each in a function of its own; the README's program has a test of its own. A block of text below a snippet is what it prints, but
    /// for the digits, which depend on the processor, and what … stands for.
    /// </summary>
    [Fact]
    public void Its_snippets_compile_run_and_print_what_stands_below_them()
    {
        var found = Paths.Where(file => file != "README.md").SelectMany(file => Snippet().Matches(File.ReadAllText(Repository.File(file)))
            .Select(m => (File: file, Code: m.Groups[1].Value, Output: m.Groups[2].Value))).ToList();
        Assert.NotEmpty(found);
        var usings = found.SelectMany(s => Using().Matches(s.Code).Select(m => m.Value.TrimEnd()))
            .Concat(["using TorchSharp;", "using TorchStab;", "using static TorchSharp.torch;", "using static Given;"]).Distinct();
        string functions = string.Concat(found.Select((s, i) => $"static void Snippet{i}()\n{{\n{Using().Replace(s.Code, "")}}}\n"));
        string calls = string.Concat(found.Select((_, i) => $"Snippet{i}();\nConsole.WriteLine(\"{End}\");\n"));
        string folder = package.NewProject("snippets", $"{string.Join('\n', usings)}\n{calls}{functions}{Given}", pybridge: true);
        string[] printed = DotNet.Succeed(folder, "run").Split(End);
        Assert.Equal(found.Count, printed.Length - 1);
        foreach (var (snippet, output) in found.Zip(printed))
            Assert.All(Shown(snippet.Output),
                line => Assert.True(Shown(output).Any(l => l == line || (line.EndsWith('…') && l.StartsWith(line.TrimEnd('…', ' '), StringComparison.Ordinal))),
                $"{snippet.File} shows\n{line}\nbut it printed\n{output}"));
    }

    /// <summary>Lines without blanks around them and without digits.</summary>
    private static string[] Shown(string text) =>
        [.. text.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(line => Number().Replace(line, "#"))];

    [GeneratedRegex("```csharp\n(.*?)```\n(?:```text\n(.*?)```)?", RegexOptions.Singleline)]
    private static partial Regex Snippet();

    [GeneratedRegex(@"\d+([.,]\d+)*(e[+-]?\d+)?")]
    private static partial Regex Number();

    [GeneratedRegex(@"^using [\w. ]+;\n", RegexOptions.Multiline)]
    private static partial Regex Using();

    [GeneratedRegex(@"\]\(([^)#\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"`(\w+Tests(?:\.\w+)?)`")]
    private static partial Regex TestName();
}

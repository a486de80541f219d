using System.Text.RegularExpressions;

namespace TorchStab.Tests.Support;

/// <summary>A source file as text, and its code without comments and string literals.</summary>
internal sealed partial class SourceFile
{
    public SourceFile(string path)
    {
        Path = path;
        Lines = File.ReadAllLines(Repository.File(path));
        Code = Ignored().Replace(string.Join('\n', Lines), m => new string('\n', m.Value.Count(c => c == '\n')));
    }

    public string Path { get; }

    public IReadOnlyList<string> Lines { get; }

    public string Code { get; }

    public static IEnumerable<SourceFile> In(string folder) => Repository.Sources(folder).Select(path => new SourceFile(path));

    /// <summary>Asserts that there are none, and lists those there are.</summary>
    public static void AssertNone(IEnumerable<string> violations)
    {
        string[] found = [.. violations];
        Assert.True(found.Length == 0, string.Join('\n', found));
    }

    /// <summary>Every match of a pattern in the code, as "path(line): text".</summary>
    public IEnumerable<string> Find(string pattern) =>
        Regex.Matches(Code, pattern).Select(m => $"{Path}({Code.AsSpan(0, m.Index).Count('\n') + 1}): {m.Value.Trim()}");

    /// <summary>Members with a block of statements, with the number of lines between the braces; relies on the layout that dotnet format enforces.</summary>
    public IEnumerable<(string Where, int Length)> Bodies()
    {
        for (int open = 1; open < Lines.Count; open++)
        {
            if (Lines[open].Trim() != "{" || TypeOrNamespace().IsMatch(Header(open))) continue;
            string closing = Lines[open].Replace('{', '}');
            int close = open + 1;
            while (close < Lines.Count && !Lines[close].StartsWith(closing, StringComparison.Ordinal)) close++;
            yield return ($"{Path}({open + 1}): {Lines[open - 1].Trim()}", close - open - 1);
        }
    }

    /// <summary>The lines above a brace that belong to it: back to the last one that ends a statement or a block.</summary>
    private string Header(int open)
    {
        int first = open;
        while (first > 0 && !EndsSomething().IsMatch(Lines[first - 1])) first--;
        return string.Join(' ', Lines.Skip(first).Take(open - first));
    }

    [GeneratedRegex("""//[^\n]*|/\*.*?\*/|\$*\"{3,}.*?\"{3,}|@"(""|[^"])*"|"(\\.|[^"\\\n])*"|'(\\.|[^'\\\n])+'""", RegexOptions.Singleline)]
    private static partial Regex Ignored();

    [GeneratedRegex(@"\b(namespace|class|struct|record|interface|enum)\s+\w")]
    private static partial Regex TypeOrNamespace();

    [GeneratedRegex(@"[;{}]\s*(//.*)?$|^\s*(//.*)?$")]
    private static partial Regex EndsSomething();
}

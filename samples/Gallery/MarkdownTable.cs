using System.Text;

namespace Gallery;

/// <summary>The page in short, as Markdown: what the README has.</summary>
internal static class MarkdownTable
{
    public static string Write(IReadOnlyList<ExperimentResult> results)
    {
        var text = new StringBuilder("| # | claim | verdict | the main check | what does not hold of the rest |\n|---|---|---|---|---|\n");
        foreach (var result in results)
        {
            var main = result.Checks[0];
            string[] rest = [.. result.Checks.Skip(1).Where(c => c.Answer != Answer.Yes).Select(c => $"{Word(c.Answer)}: {c.Statement} ({c.Evidence})")];
            text.Append($"| {result.Number} `{result.Name}` | {Cell(result.Title)} | {(result.Outcome == Outcome.Holds ? "**holds**" : result.Words)} "
                + $"| {Cell(main.Statement)}: {Cell(main.Evidence)} | {(rest.Length == 0 ? "–" : Cell(string.Join("; ", rest)))} |\n");
        }
        return text.ToString();
    }

    /// <summary>“of 17 claims 9 hold, 6 hold in part, …”.</summary>
    public static string Count(IReadOnlyList<ExperimentResult> results)
    {
        (Outcome Outcome, string One, string Several)[] words =
            [(Outcome.Holds, "holds", "hold"), (Outcome.HoldsInPart, "holds in part", "hold in part"), (Outcome.DoesNotHold, "does not hold", "do not hold"),
                (Outcome.Undecided, "is undecided", "are undecided")];
        var counts = words.Select(w => (Word: w, Number: results.Count(r => r.Outcome == w.Outcome))).Where(c => c.Number > 0);
        return $"of {results.Count} claims " + string.Join(", ", counts.Select(c => $"{c.Number} {(c.Number == 1 ? c.Word.One : c.Word.Several)}"));
    }

    public static string Word(Answer answer) => answer switch { Answer.Yes => "yes", Answer.No => "no", _ => "undecided" };

    private static string Cell(string text) => text.Replace("|", "\\|");
}

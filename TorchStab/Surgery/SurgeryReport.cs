using System.Text;

namespace TorchStab;

/// <summary>One module that was exchanged.</summary>
/// <param name="Path">Where it is, in the words of <c>named_modules()</c>; a shared module under the first of its paths.</param>
/// <param name="From">What stood there.</param>
/// <param name="To">What stands there now.</param>
public sealed record ModuleChange(string Path, string From, string To);

/// <summary>One module that was left as it was.</summary>
/// <param name="Path">Where it is, in the words of <c>named_modules()</c>.</param>
/// <param name="Module">What it is.</param>
/// <param name="Reason">Why it had to stay.</param>
/// <param name="Line">The declaration to change, where one stands in the way; else null.</param>
/// <param name="Replacement">What to change it to, else null.</param>
public sealed record ModuleRefusal(string Path, string Module, string Reason, string? Line = null, string? Replacement = null);

/// <summary>What an operation on a model did, and what it could not do. <see cref="ToString"/> gives a table.</summary>
/// <param name="Changes">The modules exchanged, in the order of the model.</param>
/// <param name="Refusals">The modules that stay, each with the reason and, where there is one, the line to change.</param>
public sealed record SurgeryReport(IReadOnlyList<ModuleChange> Changes, IReadOnlyList<ModuleRefusal> Refusals)
{
    /// <summary>A row for every change, path, from, to, and then what was left and why.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        int path = Width(Changes.Select(c => c.Path), "path"), from = Width(Changes.Select(c => c.From), "from");
        if (Changes.Count > 0) text.Append("path".PadRight(path)).Append("  ").Append("from".PadRight(from)).Append("  to\n");
        foreach (var c in Changes) text.Append(c.Path.PadRight(path)).Append("  ").Append(c.From.PadRight(from)).Append("  ").Append(c.To).Append('\n');
        text.Append($"{Changes.Count} changed, {Refusals.Count} left");
        foreach (var r in Refusals)
        {
            text.Append($"\n{r.Path}  {r.Module}: {r.Reason}");
            if (r.Line is not null) text.Append($"\n    change  {r.Line}\n    to      {r.Replacement}");
        }
        return text.ToString();
    }

    private static int Width(IEnumerable<string> cells, string head) => cells.Append(head).Max(c => c.Length);
}

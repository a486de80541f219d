using System.Text;

namespace TorchStab;

/// <summary>One module that was exchanged.</summary>
/// <param name="Path">Where it is, in the words of <c>named_modules()</c>; a shared module under the first of its paths.</param>
/// <param name="From">What stood there.</param>
/// <param name="To">What stands there now.</param>
public sealed record ModuleChange(string Path, string From, string To);

/// <summary>One module that was left as it was, or all those that one declaration or one kind of module holds fast.</summary>
/// <param name="Path">Where it is, in the words of <c>named_modules()</c>; of several the first.</param>
/// <param name="Module">What it is.</param>
/// <param name="Reason">Why it had to stay.</param>
/// <param name="Line">The declaration to change, where one stands in the way, with short names of types; else null.</param>
/// <param name="Replacement">What to change it to, with full names of types: it compiles in any file. Else null.</param>
public sealed record ModuleRefusal(string Path, string Module, string Reason, string? Line = null, string? Replacement = null)
{
    /// <summary>How many norms stay for this reason. Default: 1.</summary>
    public int Count { get; init; } = 1;
}

/// <summary>What an operation on a model did, and what it could not do. <see cref="ToString"/> gives a table.</summary>
/// <param name="Changes">The modules exchanged, in the order of the model.</param>
/// <param name="Refusals">The modules that stay, each with the reason and, where there is one, the line to change.</param>
public sealed record SurgeryReport(IReadOnlyList<ModuleChange> Changes, IReadOnlyList<ModuleRefusal> Refusals)
{
    /// <summary>What was done and should be looked at. Default: empty.</summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];

    /// <summary>A row for every change, path, from, to, then what was left and why, one cause once, and the warnings.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        int path = Width(Changes.Select(c => c.Path), "path"), from = Width(Changes.Select(c => c.From), "from");
        if (Changes.Count > 0) text.Append("path".PadRight(path)).Append("  ").Append("from".PadRight(from)).Append("  to\n");
        foreach (var c in Changes) text.Append(c.Path.PadRight(path)).Append("  ").Append(c.From.PadRight(from)).Append("  ").Append(c.To).Append('\n');
        text.Append($"{Changes.Count} changed, {Refusals.Sum(r => r.Count)} left");
        foreach (var cause in Refusals.GroupBy(r => (r.Module, r.Reason, r.Line, r.Replacement)))
        {
            int more = cause.Sum(r => r.Count) - 1;
            text.Append($"\n{cause.First().Path}{(more > 0 ? $" and {more} more" : "")}  {cause.Key.Module}: {cause.Key.Reason}");
            if (cause.Key.Line is not null) text.Append($"\n    change  {cause.Key.Line}\n    to      {cause.Key.Replacement}");
        }
        foreach (string warning in Warnings) text.Append($"\nwarning: {warning}");
        return text.ToString();
    }

    private static int Width(IEnumerable<string> cells, string head) => cells.Append(head).Max(c => c.Length);
}

using System.Text;

namespace TorchStab;

/// <summary>One module that was exchanged or changed.</summary>
/// <param name="Path">Its name as in <c>named_modules()</c>; for a shared module the first one.</param>
/// <param name="From">The module before.</param>
/// <param name="To">The module after.</param>
public sealed record ModuleChange(string Path, string From, string To);

/// <summary>One module that could not be exchanged, or several that could not for the same reason.</summary>
/// <param name="Path">Its name as in <c>named_modules()</c>; of several modules the first one's.</param>
/// <param name="Module">The type of the module.</param>
/// <param name="Reason">Why it could not be exchanged.</param>
/// <param name="Line">The declaration that prevents the exchange, with short type names; null (the default) if none does.</param>
/// <param name="Replacement">The declaration that allows it, with full type names so that it compiles in any file; null (the default) without
/// <paramref name="Line"/>. Local variables and parameters that are declared as the old class, not with var, need the new type too: compiled code shows them
/// only in part, so the reason mentions that they may exist, but not where.</param>
public sealed record ModuleRefusal(string Path, string Module, string Reason, string? Line = null, string? Replacement = null)
{
    /// <summary>The number of modules that were not exchanged for this reason. Default: 1.</summary>
    public int Count { get; init; } = 1;
}

/// <summary>What an operation on a model changed, and what it could not change. <see cref="ToString"/> returns a table.</summary>
/// <param name="Changes">The modules that were exchanged or changed, in the order of the model.</param>
/// <param name="Refusals">The modules that could not be exchanged, with the reason and, if a declaration prevents it, the line to change.</param>
public sealed record SurgeryReport(IReadOnlyList<ModuleChange> Changes, IReadOnlyList<ModuleRefusal> Refusals)
{
    /// <summary>Changes that you should check. Default: empty.</summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];

    /// <summary>A table of the changes, then the refusals by cause, then the warnings.</summary>
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

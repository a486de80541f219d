using TorchStab.Samples;

namespace Gallery;

/// <summary>What an experiment found.</summary>
/// <param name="Checks">What the claim says, each decided by the numbers. The claim holds if all do.</param>
/// <param name="Tables">The measured numbers.</param>
/// <param name="Picture">Panels of the PNG, drawn one below the other.</param>
/// <param name="Note">What a reader should know beside the verdict; may be empty.</param>
internal sealed record Finding(IReadOnlyList<Check> Checks, IReadOnlyList<ResultTable> Tables, Chart Picture, string Note = "");

/// <summary>One part of a claim: what should be, whether it is, and the numbers that say so.</summary>
internal sealed record Check(string Statement, bool Holds, string Evidence)
{
    /// <summary>
    /// Whether <paramref name="more"/> is above <paramref name="less"/> beyond the spread: the means differ by more than both
    /// deviations together. A run that was lost (not finite) decides nothing.
    /// The evidence names <paramref name="more"/> first, so let the statement do so too.
    /// </summary>
    public static Check Above(string statement, Measured more, Measured less) =>
        new(statement, more.Mean - less.Mean > more.Deviation + less.Deviation, $"{more} against {less}");
}

/// <summary>A table of a result; each row is named.</summary>
internal sealed record ResultTable(string Title, IReadOnlyList<string> Columns, IReadOnlyList<ResultRow> Rows);

/// <summary>A row; null: nothing to measure there.</summary>
internal sealed record ResultRow(string Label, IReadOnlyList<Measured?> Cells);

using TorchStab.Samples;

namespace Gallery;

/// <summary>What an experiment found.</summary>
/// <param name="Main">What the claim stands and falls with.</param>
/// <param name="Others">What else the claim says.</param>
/// <param name="Tables">The measured numbers.</param>
/// <param name="Pictures">One diagram each; the first shows the claim at a glance and opens the page.</param>
/// <param name="Note">What a reader should know beside the verdict; may be empty.</param>
internal sealed record Finding(Check Main, IReadOnlyList<Check> Others, IReadOnlyList<ResultTable> Tables, IReadOnlyList<Chart> Pictures, string Note = "");

/// <summary>A table of a result; each row is named.</summary>
internal sealed record ResultTable(string Title, IReadOnlyList<string> Columns, IReadOnlyList<ResultRow> Rows);

/// <summary>A row; null: nothing to measure there.</summary>
internal sealed record ResultRow(string Label, IReadOnlyList<Measured?> Cells);

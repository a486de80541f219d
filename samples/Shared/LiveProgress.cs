using System.Diagnostics;
using Spectre.Console;

namespace TorchStab.Samples;

/// <summary>A table with a row for each name, redrawn in place a few times a second.</summary>
internal sealed class LiveProgress : ProgressView
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(150);
    private readonly IReadOnlyList<string> _names;
    private readonly Table _table;
    private readonly LiveDisplayContext _context;
    private readonly Stopwatch _sinceDrawn = Stopwatch.StartNew();

    public LiveProgress(IReadOnlyList<string> names, int columns, Table table, LiveDisplayContext context, IReadOnlyList<double>? costs) : base(names, costs)
    {
        (_names, _table, _context) = (names, table, context);
        foreach (string name in names) table.AddRow([name.EscapeMarkup(), .. Enumerable.Repeat("", columns + 2)]);
        context.Refresh();
    }

    private protected override void Draw(ProgressRow row, string timeLeft, bool milestone)
    {
        if (!milestone && _sinceDrawn.Elapsed < Pause) return;
        int line = Enumerable.Range(0, _names.Count).First(i => _names[i] == row.Name);
        string[] cells = [.. row.Cells.Select(cell => cell.EscapeMarkup()), $"{row.Done:p0}", row.Done < 1 ? timeLeft : ""];
        for (int i = 0; i < cells.Length; i++) _table.UpdateCell(line, i + 1, cells[i]);
        _context.Refresh();
        _sinceDrawn.Restart();
    }
}

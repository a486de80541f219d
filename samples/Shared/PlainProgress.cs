namespace TorchStab.Samples;

/// <summary>One line for each milestone: for logs and pipes.</summary>
internal sealed class PlainProgress(IReadOnlyList<string> names, IReadOnlyList<string> columns, IReadOnlyList<double>? costs) : ProgressView(names, costs)
{
    private readonly int _width = names.Max(name => name.Length);

    private protected override void Draw(ProgressRow row, string timeLeft, bool milestone)
    {
        if (!milestone) return;
        var cells = columns.Zip(row.Cells, (column, cell) => $"{column} {cell}");
        Report.Line($"{row.Name.PadRight(_width)}  {string.Join("  ", cells)}  time left {timeLeft}");
    }
}

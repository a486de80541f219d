using Spectre.Console;

namespace TorchStab.Samples;

/// <summary>Tables and lines on the console.</summary>
public static class Report
{
    /// <summary>Whether tables may move and have colours: a terminal, not a file or a pipe.</summary>
    public static bool IsLive => !Console.IsOutputRedirected && AnsiConsole.Profile.Capabilities is { Ansi: true, Interactive: true };

    public static void Line(string text) => Console.WriteLine(text);

    /// <summary>The first column is aligned to the left, the others, numbers, to the right.</summary>
    public static void Table(string title, IReadOnlyList<string> columns, IEnumerable<IReadOnlyList<string>> rows)
    {
        var table = NewTable(columns).Title(title.EscapeMarkup());
        foreach (var row in rows) table.AddRow(row.Select(cell => cell.EscapeMarkup()).ToArray());
        Write(table);
    }

    /// <summary>A table of sentences: all columns to the left, broken where the width ends.</summary>
    public static void Texts(string title, IReadOnlyList<string> columns, IEnumerable<IReadOnlyList<string>> rows)
    {
        var table = NewTable(columns).Title(title.EscapeMarkup());
        foreach (var column in table.Columns) column.LeftAligned().NoWrap = false;
        foreach (var row in rows) table.AddRow(row.Select(cell => cell.EscapeMarkup()).ToArray());
        Write(table);
    }

    internal static Table NewTable(IReadOnlyList<string> columns)
    {
        var table = new Table().Border(IsLive ? TableBorder.Rounded : TableBorder.Ascii);
        for (int i = 0; i < columns.Count; i++)
        {
            var column = new TableColumn(columns[i].EscapeMarkup()).NoWrap();
            table.AddColumn(i == 0 ? column.LeftAligned() : column.RightAligned());
        }
        return table;
    }

    private static void Write(Table table)
    {
        // A file has no width; 80 columns would cut the table.
        if (!IsLive) AnsiConsole.Profile.Width = 200;
        AnsiConsole.Write(table);
    }
}

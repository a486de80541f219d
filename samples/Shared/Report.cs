using System.Globalization;
using Spectre.Console;

namespace TorchStab.Samples;

/// <summary>Tables and lines on the console.</summary>
public static class Report
{
    private const int PlainWidth = 120;

    /// <summary>Whether tables may move and have colours: a terminal, not a file or a pipe.</summary>
    public static bool IsLive => !Console.IsOutputRedirected && AnsiConsole.Profile.Capabilities is { Ansi: true, Interactive: true };

    /// <summary>"1 layer", "2 layers".</summary>
    /// <param name="number">How many.</param>
    /// <param name="thing">The word for one.</param>
    /// <param name="things">The word for several; null: with an s.</param>
    public static string Count(long number, string thing, string? things = null) => $"{number} {(number == 1 ? thing : things ?? thing + "s")}";

    /// <summary>The last line of a run: how long it took, and whether Ctrl-C ended it.</summary>
    public static void Took(TimeSpan time, CancellationToken stop) =>
        Line($"{(stop.IsCancellationRequested ? "interrupted after" : "took")} {time.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture)} s");

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
        // A file has no width; 80 columns would cut tables that most screens show whole.
        if (!IsLive) AnsiConsole.Profile.Width = PlainWidth;
        AnsiConsole.Write(table);
    }
}

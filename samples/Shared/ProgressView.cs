using System.Diagnostics;
using Spectre.Console;

namespace TorchStab.Samples;

/// <summary>The state of one of the things a sample trains: how far it is (0 to 1) and a cell for each column.</summary>
public sealed record ProgressRow(string Name, double Done, IReadOnlyList<string> Cells);

/// <summary>Shows a run while it runs: a table redrawn in place on a terminal, a line for each milestone elsewhere.</summary>
public abstract class ProgressView
{
    private readonly Stopwatch _watch = Stopwatch.StartNew();
    private readonly Dictionary<string, double> _done;

    private protected ProgressView(IEnumerable<string> names) => _done = names.ToDictionary(name => name, _ => 0.0);

    /// <param name="names">What is trained, in order; the time left assumes that each costs about the same.</param>
    /// <param name="columns">Headers of <see cref="ProgressRow.Cells"/>.</param>
    /// <param name="body">The training, which calls <see cref="Update"/>.</param>
    /// <param name="what">Header of the names.</param>
    public static void Show(IReadOnlyList<string> names, IReadOnlyList<string> columns, Action<ProgressView> body, string what = "network")
    {
        if (!Report.IsLive)
        {
            body(new PlainProgress(names, columns));
            return;
        }
        var table = Report.NewTable([what, .. columns, "done", "time left"]);
        AnsiConsole.Live(table).Start(context => body(new LiveProgress(names, columns.Count, table, context)));
    }

    /// <summary>Shows a row; <paramref name="milestone"/> (an epoch's end, say) is what deserves a line of its own in a log.</summary>
    public void Update(ProgressRow row, bool milestone)
    {
        _done[row.Name] = row.Done;
        Draw(row, TimeLeft(), milestone);
    }

    private protected abstract void Draw(ProgressRow row, string timeLeft, bool milestone);

    private string TimeLeft()
    {
        double share = _done.Values.Average();
        return share <= 0 ? "" : (_watch.Elapsed * ((1 - share) / share)).ToString(@"m\:ss");
    }
}

using System.Diagnostics;
using Spectre.Console;

namespace TorchStab.Samples;

/// <summary>The state of one of the things a sample trains: how far it is (0 to 1) and a cell for each column.</summary>
public sealed record ProgressRow(string Name, double Done, IReadOnlyList<string> Cells);

/// <summary>Shows a run while it runs: a table redrawn in place on a terminal, a line for each milestone elsewhere.</summary>
public abstract class ProgressView
{
    private readonly Stopwatch _watch = Stopwatch.StartNew();
    private readonly Dictionary<string, double> _done, _costs;

    private protected ProgressView(IReadOnlyList<string> names, IReadOnlyList<double>? costs)
    {
        _done = names.ToDictionary(name => name, _ => 0.0);
        _costs = names.Select((name, i) => (name, Cost: costs?[i] ?? 1)).ToDictionary(pair => pair.name, pair => pair.Cost);
    }

    /// <param name="names">What is trained, in order.</param>
    /// <param name="columns">Headers of <see cref="ProgressRow.Cells"/>.</param>
    /// <param name="body">The training, which calls <see cref="Update"/>.</param>
    /// <param name="what">Header of the names.</param>
    /// <param name="costs">What each costs, in any unit: the time left goes by it; null: all the same.</param>
    public static void Show(IReadOnlyList<string> names, IReadOnlyList<string> columns, Action<ProgressView> body, string what = "network",
        IReadOnlyList<double>? costs = null)
    {
        if (!Report.IsLive)
        {
            body(new PlainProgress(names, columns, costs));
            return;
        }
        var table = Report.NewTable([what, .. columns, "done", "time left"]);
        AnsiConsole.Live(table).Start(context => body(new LiveProgress(names, columns.Count, table, context, costs)));
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
        double share = _done.Sum(one => one.Value * _costs[one.Key]) / _costs.Values.Sum();
        if (share <= 0) return "";
        var left = _watch.Elapsed * ((1 - share) / share);
        // A time's own minutes start again at every hour.
        return $"{(int)left.TotalMinutes}:{left.Seconds:00}";
    }
}

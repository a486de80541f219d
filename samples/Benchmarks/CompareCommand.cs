using System.Globalization;
using System.Reflection;
using Spectre.Console;
using TorchStab.Dispatch;
using TorchStab.Samples;

namespace TorchStab.Benchmarks;

/// <summary>Measures every comparison and prints one row a case; nothing is asserted about time.</summary>
internal static class CompareCommand
{
    public static void Run(string? only, bool quick, bool tuned, bool native, CancellationToken token)
    {
        if (native) KernelSelection.Mode = KernelMode.Native;
        var comparisons = Find(only);
        if (tuned && !Memory.TuneAllocator()) throw new SampleException("--tuned needs glibc; on this system it would change nothing.");
        var table = new Table().Border(TableBorder.Markdown);
        foreach (string column in new[] { "operation", "case", "libtorch", "TorchStab", "ratio", "range", "target", "of copy", "foreign", "peak memory" })
            table.AddColumn(new TableColumn(column).NoWrap());
        if (!Report.IsLive) AnsiConsole.Profile.Width = 240; // a file has no width; 80 columns would cut the table
        Report.Line(Machine.Describe(tuned));
        if (native) Report.Line("TorchStab's side: libtorch's fused operations instead of kernels; targets are the kernels'");
        try
        {
            ProgressView.Show([.. comparisons.Select(c => c.Name)], ["case", "ratio"], view =>
            {
                foreach (var comparison in comparisons) Measure(comparison, quick, table, view, token);
            }, "operation");
        }
        catch (OperationCanceledException) when (token.IsCancellationRequested)
        {
            // The table has what was measured until then.
        }
        AnsiConsole.Write(table);
    }

    private static void Measure(IComparison comparison, bool quick, Table table, ProgressView view, CancellationToken token)
    {
        string[] last = ["", ""];
        foreach (var pair in comparison.Cases(quick))
        {
            using var _ = pair;
            token.ThrowIfCancellationRequested();
            pair.Verify?.Invoke();
            var peak = pair.Peak?.Invoke();
            var measured = Interleaved.Run(pair, quick ? Effort.Quick : Effort.Full, token);
            table.AddRow([.. Row(comparison.Name, pair, measured), Peak(peak)]);
            last = [pair.Case, Text($"{measured.Ratio:0.00}")];
            view.Update(new ProgressRow(comparison.Name, 0, last), milestone: false);
        }
        view.Update(new ProgressRow(comparison.Name, 1, last), milestone: true);
    }

    private static List<IComparison> Find(string? only)
    {
        var all = Assembly.GetExecutingAssembly().GetTypes().Where(t => t.IsClass && !t.IsAbstract && t.IsAssignableTo(typeof(IComparison)))
            .Select(t => (IComparison)Activator.CreateInstance(t)!).OrderBy(c => c.Name, StringComparer.Ordinal).ToList();
        var chosen = all.Where(c => only is null || c.Name.Contains(only, StringComparison.OrdinalIgnoreCase)).ToList();
        return chosen.Count > 0 ? chosen : throw new SampleException($"--only {only} matches none of: {string.Join(", ", all.Select(c => c.Name))}.");
    }

    private static string[] Row(string name, Pair pair, Measurement m) =>
    [
        name, pair.Case, Time(m.Libtorch), Time(m.Ours), Text($"{m.Ratio:0.00}"), Text($"{m.LowRatio:0.00}–{m.HighRatio:0.00}"),
        pair.AtLeast is null ? "" : Text($"≥ {pair.AtLeast:0.##}"), Text($"{100 * m.ShareOfCopy:0} %"), Text($"{100 * m.Foreign:0} %"),
    ];

    private static string Peak((long Libtorch, long Ours)? bytes) =>
        bytes is { } b ? Text($"{b.Ours / 1e6:0.0} MB, libtorch {b.Libtorch / 1e6:0.0} MB") : "";

    private static string Time(double microseconds) => microseconds >= 1000 ? Text($"{microseconds / 1000:0.00} ms") : Text($"{microseconds:0.0} µs");

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}

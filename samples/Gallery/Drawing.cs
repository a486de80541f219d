using TorchStab.Samples;

namespace Gallery;

/// <summary>What a diagram's axes are called.</summary>
internal sealed record Axes(string Title, string X, string Y, bool LogX = false, bool LogY = false);

/// <summary>Measured numbers in diagrams: one chart, one panel. Nothing that was measured is left out: where a run was lost there is a cross.</summary>
internal static class Drawing
{
    private const double Whole = 100; // per cent

    /// <summary>A series of some arms, each at its learning rate.</summary>
    /// <param name="axes">Titles.</param>
    /// <param name="runs">All there are.</param>
    /// <param name="arms">Which, in the order of their colours.</param>
    /// <param name="series">Its name.</param>
    /// <param name="x">Where look i stands.</param>
    /// <param name="percent">Whether a share becomes per cent.</param>
    public static Chart Curves(Axes axes, Runs runs, IReadOnlyList<string> arms, string series, Func<int, double> x, bool percent = false)
    {
        var (chart, panel) = New(axes);
        double scale = percent ? Whole : 1;
        string[] names = Short([.. arms.Select(runs.Label)]);
        for (int i = 0; i < arms.Count; i++)
        {
            string arm = arms[i];
            panel.Series(names[i], [.. runs.Curve(arm, series).Select((m, at) => (x(at), m.Map(v => v * scale)))], i, axes.LogY, dashed: Dashed(i));
            var lost = runs.Trainings(arm, runs.Rate(arm)).Where(run => run.LostAfter is not null && run.Series[series].Length > 0);
            panel.Crosses(lost.Select(run => (x(run.Series[series].Length - 1), scale * run.Last(series))), i);
        }
        panel.LegendBeside();
        return chart;
    }

    /// <summary>Lines of numbers that are not over steps: by depth, by size of a batch.</summary>
    public static Chart Lines(Axes axes, IReadOnlyList<(string Label, IReadOnlyList<(double X, Measured Y)> Points)> lines)
    {
        var (chart, panel) = New(axes);
        for (int i = 0; i < lines.Count; i++) panel.Series(lines[i].Label, lines[i].Points, i, axes.LogY, markers: true, Dashed(i));
        panel.LegendBeside();
        return chart;
    }

    /// <summary>Groups of bars with the interval of each mean.</summary>
    public static Chart Bars(Axes axes, IReadOnlyList<string> groups, IReadOnlyList<(string Label, IReadOnlyList<Measured> Values)> bars)
    {
        var (chart, panel) = New(axes);
        panel.Categories(groups);
        for (int i = 0; i < bars.Count; i++)
            panel.Bars(bars[i].Label, [.. bars[i].Values.Select(m => (m.Mean, m.Interval is { } range ? range.High - m.Mean : 0))], i, bars.Count);
        panel.LegendBeside();
        return chart;
    }

    /// <summary>Everything that learning rates were chosen from; a cross: a run that was lost.</summary>
    public static Chart Choices(Runs runs, IReadOnlyList<string> arms, string score)
    {
        var (chart, panel) = New(new Axes("The choice of the learning rate", "learning rate", score, LogX: true));
        string[] names = Short(arms);
        for (int i = 0; i < arms.Count; i++)
        {
            string arm = arms[i];
            double[] rates = [.. runs.Rates(arm).Order()];
            panel.Series(names[i], [.. rates.Select(rate => (rate, runs.At(arm, rate, run => run.Score)))], i, log: false, markers: true, Dashed(i));
            panel.Crosses(rates.SelectMany(rate => runs.Trainings(arm, rate).Where(run => run.LostAfter is not null).Select(run => (rate, run.Score))), i);
        }
        panel.LegendBeside();
        return chart;
    }

    /// <summary>A line of means; the shade is the interval of the mean, as far as something was measured there. On a logarithmic axis both are the
    /// logarithm's.</summary>
    public static void Series(this ChartPanel panel, string label, IReadOnlyList<(double X, Measured Y)> points, int colour, bool log, bool markers = false,
        bool dashed = false)
    {
        var on = points.Select(p => (p.X, Y: log ? p.Y.Map(Math.Log) : p.Y)).ToArray();
        double Back(double value) => log ? Math.Exp(value) : value;
        panel.Band(on.Where(p => p.Y.Interval is not null).Select(p =>
            (p.X, Back(Math.Max(p.Y.Interval!.Low, p.Y.Values.Min())), Back(Math.Min(p.Y.Interval!.High, p.Y.Values.Max())))), colour);
        panel.Line(label, on.Select(p => (p.X, Back(p.Y.Mean))), markers, colour, dashed);
    }

    /// <summary>Names without the words that all of them start with: those stand in the title, and a legend should be narrow.</summary>
    public static string[] Short(IReadOnlyList<string> names)
    {
        const string between = ", ";
        string[][] words = [.. names.Select(name => name.Split(between))];
        int same = 0;
        while (names.Count > 1 && words.All(w => same < w.Length - 1 && w[same] == words[0][same])) same++;
        return [.. words.Select(w => string.Join(between, w[same..]))];
    }

    /// <summary>Every second line, so that lines differ on paper without colours too.</summary>
    private static bool Dashed(int line) => line % 2 == 1;

    public static (Chart Chart, ChartPanel Panel) New(Axes axes)
    {
        var chart = new Chart();
        return (chart, chart.AddPanel(axes.Title, axes.X, axes.Y, axes.LogY, axes.LogX));
    }
}

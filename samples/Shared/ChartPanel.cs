using ScottPlot;
using ScottPlot.TickGenerators;

namespace TorchStab.Samples;

/// <summary>One diagram of a <see cref="Chart"/>. Series take colours in turn, or by number.</summary>
public sealed class ChartPanel
{
    /// <summary>Okabe and Ito's colours, those that show on white, the most different first.</summary>
    private static readonly Color[] Colours = [.. new[] { "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000" }.Select(Color.FromHex)];
    private const double Half = 0.4;
    private const float CrossSize = 14;
    private readonly Plot _plot;
    private readonly bool _logX, _logY;
    private int _series;
    private bool _wholeX = true;

    internal ChartPanel(Plot plot, bool logX, bool logY) => (_plot, _logX, _logY) = (plot, logX, logY);

    /// <summary>Adds a line; points that are not finite (or, on a logarithmic axis, not positive) are left out.</summary>
    /// <param name="label">Its name in the legend; empty: not in the legend.</param>
    /// <param name="points">Its points from left to right.</param>
    /// <param name="markers">Whether the points themselves show.</param>
    /// <param name="colour">Number of its colour, from 0; null: the next one.</param>
    /// <param name="dashed">Whether it is dashed, as predictions and second states are.</param>
    public void Line(string label, IEnumerable<(double X, double Y)> points, bool markers = false, int? colour = null, bool dashed = false)
    {
        var drawn = points.Select(p => (X: OnX(p.X), Y: OnY(p.Y))).Where(p => double.IsFinite(p.X) && double.IsFinite(p.Y)).ToArray();
        var paint = Next(colour);
        if (drawn.Length == 0) return;
        _wholeX &= drawn.All(p => double.IsInteger(p.X));
        var line = _plot.Add.Scatter(drawn.Select(p => p.X).ToArray(), drawn.Select(p => p.Y).ToArray(), paint);
        line.LegendText = label;
        line.LineWidth = 2;
        line.LinePattern = dashed ? LinePattern.Dashed : LinePattern.Solid;
        line.MarkerSize = markers ? 6 : 0;
    }

    /// <summary>Marks points with a cross: what ended there.</summary>
    public void Crosses(IEnumerable<(double X, double Y)> points, int colour)
    {
        var drawn = points.Select(p => (X: OnX(p.X), Y: OnY(p.Y))).Where(p => double.IsFinite(p.X) && double.IsFinite(p.Y)).ToArray();
        if (drawn.Length == 0) return;
        var marks = _plot.Add.Markers(drawn.Select(p => p.X).ToArray(), drawn.Select(p => p.Y).ToArray(), MarkerShape.Eks, CrossSize, Next(colour));
        marks.MarkerLineWidth = 3;
    }

    /// <summary>Names a series that has nothing to draw, with why.</summary>
    public void Missing(string label) => _plot.Legend.ManualItems.Add(new LegendItem { LabelText = label, LineColor = Next(null), LineWidth = 2 });

    /// <summary>Shades what lies between two values, in the colour of a line: the spread over seeds, say.</summary>
    public void Band(IEnumerable<(double X, double Low, double High)> points, int colour)
    {
        var drawn = points.Select(p => (X: OnX(p.X), Low: OnY(p.Low), High: OnY(p.High)))
            .Where(p => double.IsFinite(p.X) && double.IsFinite(p.Low) && double.IsFinite(p.High)).ToArray();
        if (drawn.Length == 0) return;
        var band = _plot.Add.FillY(drawn);
        band.FillColor = Next(colour).WithAlpha(0.2);
        band.LineWidth = 0;
    }

    /// <summary>Adds bars with error bars, one for each category of <see cref="Categories"/>, beside those of the other series.</summary>
    /// <param name="label">The series' name in the legend.</param>
    /// <param name="values">Mean and deviation for each category.</param>
    /// <param name="index">Which series this is, from 0: its place in each group and its colour.</param>
    /// <param name="count">How many series there are.</param>
    public void Bars(string label, IReadOnlyList<(double Mean, double Deviation)> values, int index, int count)
    {
        double width = 2 * Half / count;
        var bars = values.Select((v, i) => new Bar
        {
            Position = i - Half + (index + 0.5) * width,
            Value = OnY(v.Mean),
            ValueBase = _logY ? OnY(values.Min(w => w.Mean)) - 1 : 0,
            Size = width * 0.9,
            FillColor = Next(index),
            LineWidth = 0,
        }).ToArray();
        _plot.Add.Bars(bars.Where(bar => double.IsFinite(bar.Value)).ToArray()).LegendText = label;
        Errors([.. bars.Zip(values, (bar, v) => (bar.Position, bar.Value, OnY(v.Mean - v.Deviation), OnY(v.Mean + v.Deviation)))]);
        // Room for a legend above the bars.
        _plot.Axes.Margins(bottom: _logY ? 0.05 : 0, top: 0.3);
    }

    /// <summary>Names the places 0, 1, 2 … of the lower axis.</summary>
    public void Categories(IReadOnlyList<string> names) =>
        _plot.Axes.Bottom.SetTicks([.. names.Select((_, i) => (double)i)], [.. names]);

    /// <summary>Fixes what the vertical axis shows.</summary>
    public void LimitY(double low, double high) => _plot.Axes.SetLimitsY(OnY(low), OnY(high));

    /// <summary>Shows the legend, where it hides least.</summary>
    public void Legend(Alignment where = Alignment.LowerRight)
    {
        _plot.ShowLegend(where);
        // Wide enough for a dashed line to look dashed.
        _plot.Legend.SymbolWidth = 32;
    }

    /// <summary>Shows the legend to the right of the data, where it hides nothing.</summary>
    public void LegendBeside()
    {
        var legend = _plot.ShowLegend(Edge.Right);
        legend.Legend.SymbolWidth = 32; // so that a dashed line looks dashed
        legend.Legend.FontSize = 11;
        // The legend takes from the data's width, and the title stands over the data.
        _plot.Axes.Title.Label.FontSize = 13;
        legend.Legend.OutlineWidth = 0;
        legend.Legend.ShadowColor = Colors.Transparent;
    }

    internal Plot Finish()
    {
        if (_logX) _plot.Axes.Bottom.TickGenerator = new LogTicks();
        // Between two layers or epochs there is nothing.
        else if (_wholeX && _plot.Axes.Bottom.TickGenerator is NumericAutomatic steps) steps.IntegerTicksOnly = true;
        if (_logY) _plot.Axes.Left.TickGenerator = new LogTicks();
        else if (_plot.Axes.Left.TickGenerator is NumericAutomatic ticks) ticks.MinimumTickSpacing = 30;
        return _plot;
    }

    private void Errors(IReadOnlyList<(double X, double Y, double Low, double High)> bars)
    {
        var drawn = bars.Where(b => double.IsFinite(b.Low) && double.IsFinite(b.High) && b.High > b.Low).ToArray();
        if (drawn.Length == 0) return;
        var errors = _plot.Add.ErrorBar([.. drawn.Select(b => b.X)], [.. drawn.Select(b => b.Y)], [.. drawn.Select(_ => 0.0)]);
        errors.YErrorNegative = [.. drawn.Select(b => b.Y - b.Low)];
        errors.YErrorPositive = [.. drawn.Select(b => b.High - b.Y)];
        errors.Color = Colors.Black;
    }

    private Color Next(int? colour) => Colours[(colour ?? _series++) % Colours.Length];

    private double OnX(double x) => _logX ? Math.Log10(x) : x;

    private double OnY(double y) => _logY ? Math.Log10(y) : y;
}

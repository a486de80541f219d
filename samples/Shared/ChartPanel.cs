using ScottPlot;

namespace TorchStab.Samples;

/// <summary>One diagram of a <see cref="Chart"/>.</summary>
public sealed class ChartPanel
{
    private readonly Plot _plot;
    private readonly bool _logY;

    internal ChartPanel(Plot plot, bool logY) => (_plot, _logY) = (plot, logY);

    /// <summary>Adds a line; points that are not finite (or, on a logarithmic axis, not positive) are left out.</summary>
    /// <param name="label">Its name in the legend.</param>
    /// <param name="points">Its points from left to right.</param>
    /// <param name="markers">Whether the points themselves show.</param>
    public void Line(string label, IEnumerable<(double X, double Y)> points, bool markers = false)
    {
        var drawn = points.Select(p => (p.X, Y: _logY ? Math.Log10(p.Y) : p.Y)).Where(p => double.IsFinite(p.Y)).ToArray();
        if (drawn.Length == 0) return;
        var line = _plot.Add.Scatter(drawn.Select(p => p.X).ToArray(), drawn.Select(p => p.Y).ToArray());
        line.LegendText = label;
        line.LineWidth = 2;
        line.MarkerSize = markers ? 6 : 0;
    }

    /// <summary>Shows the legend, where it hides least.</summary>
    public void Legend(Alignment where = Alignment.LowerRight) => _plot.ShowLegend(where);
}

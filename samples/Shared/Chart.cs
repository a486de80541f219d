using ScottPlot;
using ScottPlot.MultiplotLayouts;
using ScottPlot.TickGenerators;

namespace TorchStab.Samples;

/// <summary>Panels of lines side by side in one PNG, in a font that is always there.</summary>
public sealed class Chart
{
    private const string FontName = "DejaVu Sans";
    private readonly List<Plot> _panels = [];

    // A machine without fonts (a bare server, a container) must draw text too.
    static Chart()
    {
        Fonts.AddFontFile(FontName, Path.Combine(AppContext.BaseDirectory, "fonts", "DejaVuSans.ttf"));
        Fonts.Default = FontName;
    }

    /// <summary>Adds a panel to the right; <paramref name="logY"/> for positive values over many orders of magnitude.</summary>
    public ChartPanel AddPanel(string title, string x, string y, bool logY = false)
    {
        var plot = new Plot();
        plot.Font.Set(FontName);
        plot.Title(title);
        plot.XLabel(x);
        plot.YLabel(y);
        // The font is there in one weight only.
        plot.Axes.Title.Label.Bold = plot.Axes.Bottom.Label.Bold = plot.Axes.Left.Label.Bold = false;
        if (logY) plot.Axes.Left.TickGenerator = new NumericAutomatic { IntegerTicksOnly = true, LabelFormatter = exponent => $"1e{exponent:0}" };
        plot.HideLegend();
        _panels.Add(plot);
        return new ChartPanel(plot, logY);
    }

    public void Save(string path, int panelWidth = 560, int height = 420)
    {
        var all = new Multiplot { Layout = new Columns() };
        all.RemovePlot(all.GetPlot(0));
        foreach (var panel in _panels) all.AddPlot(panel);
        all.SavePng(path, panelWidth * _panels.Count, height);
    }
}

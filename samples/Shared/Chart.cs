using ScottPlot;
using ScottPlot.MultiplotLayouts;
using SkiaSharp;

namespace TorchStab.Samples;

/// <summary>Panels of lines or bars in one PNG, in a font that is always there and in colours that the colour-blind tell apart.</summary>
public sealed class Chart
{
    private const string FontName = "DejaVu Sans";
    private readonly List<ChartPanel> _panels = [];

    // A machine without fonts (a bare server, a container) must draw text too.
    static Chart()
    {
        Fonts.AddFontFile(FontName, Path.Combine(AppContext.BaseDirectory, "fonts", "DejaVuSans.ttf"));
        Fonts.Default = FontName;
    }

    /// <summary>Adds a panel; logarithmic axes are for positive values over many orders of magnitude.</summary>
    public ChartPanel AddPanel(string title, string x, string y, bool logY = false, bool logX = false)
    {
        var plot = new Plot();
        plot.Font.Set(FontName);
        plot.Title(title);
        plot.XLabel(x);
        plot.YLabel(y);
        // The font is there in one weight only.
        plot.Axes.Title.Label.Bold = plot.Axes.Bottom.Label.Bold = plot.Axes.Left.Label.Bold = false;
        plot.HideLegend();
        _panels.Add(new ChartPanel(plot, logX, logY));
        return _panels[^1];
    }

    /// <summary>Saves the panels side by side or, for narrow screens, one below the other.</summary>
    /// <param name="path">Where to.</param>
    /// <param name="panelWidth">Width of a panel in points.</param>
    /// <param name="panelHeight">Its height in points.</param>
    /// <param name="stacked">Whether one below the other.</param>
    /// <param name="scale">Pixels of a point: 2 stays sharp on a phone and on paper.</param>
    public void Save(string path, int panelWidth = 560, int panelHeight = 420, bool stacked = false, int scale = 1)
    {
        var all = new Multiplot { Layout = stacked ? new Rows() : new Columns() };
        all.RemovePlot(all.GetPlot(0));
        foreach (var panel in _panels) all.AddPlot(panel.Finish());
        var (across, down) = stacked ? (1, _panels.Count) : (_panels.Count, 1);
        int width = panelWidth * across, height = panelHeight * down;
        // A Multiplot does not scale (its plots' own factors multiply); the canvas does.
        using var surface = SKSurface.Create(new SKImageInfo(width * scale, height * scale));
        surface.Canvas.Scale(scale);
        all.Render(surface.Canvas, new PixelRect(new PixelSize(width, height)));
        using var image = surface.Snapshot();
        using var png = image.Encode(SKEncodedImageFormat.Png, 100);
        File.WriteAllBytes(path, png.ToArray());
    }
}

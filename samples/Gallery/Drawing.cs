using TorchStab.Samples;

namespace Gallery;

/// <summary>Measured numbers in diagrams.</summary>
internal static class Drawing
{
    /// <summary>A line of means; the shade spans the seeds, from the least to the most.</summary>
    public static void Series(this ChartPanel panel, string label, IReadOnlyList<(double X, Measured Y)> points, int colour, bool dashed = false, bool markers = true)
    {
        panel.Band(points.Select(p => (p.X, p.Y.Least, p.Y.Most)), colour);
        panel.Line(label, points.Select(p => (p.X, p.Y.Mean)), markers, colour, dashed);
    }
}

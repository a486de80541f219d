using System.Globalization;
using ScottPlot;

namespace TorchStab.Samples;

/// <summary>Ticks of an axis that holds decimal logarithms: powers of ten or, where few fit, also twice and five times those.</summary>
internal sealed class LogTicks : ITickGenerator
{
    private const double PixelsPerTick = 45;

    public Tick[] Ticks { get; set; } = [];

    public int MaxTickCount { get; set; } = 50;

    public void Regenerate(CoordinateRange range, Edge edge, PixelLength size, Paint paint, LabelStyle labelStyle)
    {
        double most = Math.Clamp(size.Length / PixelsPerTick, 2, MaxTickCount);
        int[] factors = range.Length <= most / 3 ? [1, 2, 5] : [1];
        int stride = Math.Max(1, (int)Math.Ceiling(range.Length / most));
        int first = (int)Math.Floor(range.Min), last = (int)Math.Ceiling(range.Max);
        Ticks =
        [
            .. from exponent in Enumerable.Range(first, last - first + 1)
               where exponent % stride == 0
               from factor in factors
               let at = exponent + Math.Log10(factor)
               where range.Contains(at)
               select new Tick(at, Text(factor, exponent)),
        ];
    }

    private static string Text(int factor, int exponent) =>
        exponent is >= -3 and <= 4 ? (factor * Math.Pow(10, exponent)).ToString("0.###", CultureInfo.InvariantCulture) : $"{factor}e{exponent}";
}

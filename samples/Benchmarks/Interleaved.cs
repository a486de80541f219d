using System.Diagnostics;
using static TorchSharp.torch;

namespace TorchStab.Benchmarks;

/// <summary>How long to measure.</summary>
/// <param name="Repeats">Rounds of the whole rotation; medians are taken over them.</param>
/// <param name="Milliseconds">Per round.</param>
/// <param name="QuietSeconds">How long to wait for a quiet machine before each round.</param>
/// <param name="MaxForeign">Cores that others may use during a round before it is repeated.</param>
internal sealed record Effort(int Repeats, double Milliseconds, double QuietSeconds, double MaxForeign)
{
    public static Effort Full { get; } = new(3, 500, 5, 0.12);

    public static Effort Quick { get; } = new(1, 60, 0, double.PositiveInfinity);
}

/// <summary>Medians in microseconds, and what else the machine did meanwhile.</summary>
internal sealed record Measurement(double Libtorch, double Ours, double Copy, double LowRatio, double HighRatio, double Foreign)
{
    public double Ratio => Libtorch / Ours;

    /// <summary>Our speed as a share of libtorch's copy of as many bytes.</summary>
    public double ShareOfCopy => Copy / Ours;
}

/// <summary>
/// Both sides take turns in one process, in rotating order: the machine's drift and its neighbours hit both alike, so ratios hold where milliseconds
/// do not. A copy of the bytes that the operation must move follows in every round, by itself: between the turns it would empty the caches
/// that a training step finds warm.
/// </summary>
internal static class Interleaved
{
    private const double WarmUpMilliseconds = 120, SampleMicroseconds = 300, CopyShare = 0.2;
    private const int MaxRetries = 2, LeastSamples = 7, LongestFactor = 8;

    /// <exception cref="OperationCanceledException">Ctrl-C.</exception>
    public static Measurement Run(Pair pair, Effort effort, CancellationToken stop)
    {
        using var scope = NewDisposeScope();
        long half = Math.Max(64, pair.Bytes / 2);
        Tensor source = zeros(half, ScalarType.Byte), target = zeros(half, ScalarType.Byte);
        Turns sides = new([pair.Libtorch, pair.Ours], effort.Milliseconds, stop),
            copy = new([() => target.copy_(source)], effort.Milliseconds * CopyShare, stop);
        var rounds = new List<double[]>();
        double foreign = 0;
        for (int retries = 0; rounds.Count < effort.Repeats;)
        {
            ForeignLoad.WaitForQuiet(effort.QuietSeconds, stop);
            var mark = ForeignLoad.Start();
            double[] medians = [.. sides.Round(), .. copy.Round()];
            double load = ForeignLoad.Since(mark);
            if (load > effort.MaxForeign && retries++ < MaxRetries) continue;
            foreign = Math.Max(foreign, load);
            rounds.Add(medians);
        }
        var ratios = rounds.Select(m => m[0] / m[1]).ToList();
        return new(Median(rounds.Select(m => m[0])), Median(rounds.Select(m => m[1])), Median(rounds.Select(m => m[2])), ratios.Min(), ratios.Max(), foreign);
    }

    /// <summary>What takes turns for as many milliseconds.</summary>
    private sealed class Turns(Action[] sides, double milliseconds, CancellationToken stop)
    {
        private readonly int[] _calls = [.. sides.Select(side => WarmUp(side, milliseconds, stop))];

        /// <summary>Each side's median in microseconds.</summary>
        public double[] Round()
        {
            var samples = sides.Select(_ => new List<double>()).ToArray();
            var watch = Stopwatch.StartNew();
            for (int turn = 0; watch.Elapsed.TotalMilliseconds < milliseconds
                || (turn < LeastSamples && watch.Elapsed.TotalMilliseconds < milliseconds * LongestFactor); turn++)
            {
                for (int k = 0; k < sides.Length; k++)
                {
                    stop.ThrowIfCancellationRequested();
                    int side = (k + turn) % sides.Length;
                    samples[side].Add(Microseconds(sides[side], _calls[side]));
                }
            }
            return [.. samples.Select(Median)];
        }

        // Returns how many calls make one sample.
        private static int WarmUp(Action side, double milliseconds, CancellationToken stop)
        {
            var watch = Stopwatch.StartNew();
            int calls = 0;
            for (; calls < 3 || (watch.Elapsed.TotalMilliseconds < Math.Min(milliseconds, WarmUpMilliseconds) && calls < 3000); calls++)
            {
                stop.ThrowIfCancellationRequested();
                side();
            }
            return (int)Math.Clamp(SampleMicroseconds / Microseconds(side, 3), 1, 20_000);
        }
    }

    private static double Microseconds(Action side, int calls)
    {
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < calls; i++) side();
        return Stopwatch.GetElapsedTime(start).TotalMicroseconds / calls;
    }

    private static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted[sorted.Length / 2];
    }
}

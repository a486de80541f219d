using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Clipping;

/// <summary>Rules that remember norms: what they write, read back, and refuse to read.</summary>
public class ClipMemoryTests
{
    public static TheoryData<string> Rules => ["percentile, filling", "percentile, full", "z-score, warming up", "z-score, warm"];

    [Theory]
    [MemberData(nameof(Rules))]
    public void A_memory_read_back_goes_on_as_the_one_that_was_written(string which)
    {
        var (original, restored) = (Rule(which), Rule(which));
        Feed(original, [3, 1, 4, 1.5, 5, 9, 2.6]);
        Assert.True(original.HasMemory);
        Load(restored, Save(original));
        foreach (double norm in new[] { 5.3, 50, 8.9, 0.7, 9.3, 2.3, 80, 8.4, 6.2 }) Assert.Equal(Feed(original, [norm]), Feed(restored, [norm]));
    }

    [Fact]
    public void A_warm_z_score_forgets_the_norms_it_began_with()
    {
        var rule = GradientClip.ZScore(warmup: 4);
        Feed(rule, [1, 2, 3]);
        int warming = Save(rule).Length;
        Feed(rule, [4]);
        int warm = Save(rule).Length;
        Assert.Equal(3 * sizeof(double), warming - warm);
        Feed(rule, [5, 6]);
        Assert.Equal(warm, Save(rule).Length);
    }

    [Theory]
    [InlineData(10, 3)]
    [InlineData(10, 7)]
    [InlineData(5, 3)]
    [InlineData(5, 20)]
    [InlineData(7, 8)]
    public void Another_window_takes_the_latest_norms(int saved, int window)
    {
        double[] before = [8, 1, 9, 2, 7, 3, 6], after = [4, 1.5, 12, 0.5, 5, 10, 2.5, 11, 6.5, 3.5];
        var large = GradientClip.Percentile(25, saved);
        Feed(large, before);
        var other = GradientClip.Percentile(25, window);
        Load(other, Save(large));
        var known = before.TakeLast(Math.Min(saved, window)).ToList();
        foreach (double norm in after)
        {
            known.Add(norm);
            double[] sorted = [.. known.TakeLast(window).Order()];
            double at = 0.25 * (sorted.Length - 1);
            double bound = sorted[(int)at] + (at - (int)at) * (sorted[Math.Min((int)at + 1, sorted.Length - 1)] - sorted[(int)at]);
            Assert.Equal(Math.Min(1, bound / (norm + 1e-6)), Feed(other, [norm]).Coefficient, Tolerance.Float64);
        }
    }

    [Theory]
    [InlineData(-1, 0, 1.0)]
    [InlineData(0, -1, 1.0)]
    [InlineData(0, 1, -1.0)]
    [InlineData(0, 1, double.NaN)]
    [InlineData(0, 1, double.PositiveInfinity)]
    public void What_can_not_be_a_memory_is_refused_and_changes_nothing(int next, int count, double norm)
    {
        using var file = new MemoryStream();
        using var writer = new BinaryWriter(file);
        writer.Write(next);
        writer.Write(count);
        writer.Write(norm);
        var rule = Rule("percentile, full");
        Feed(rule, [1, 2, 3]);
        byte[] before = Save(rule);
        Assert.Throws<InvalidDataException>(() => Load(rule, file.ToArray()));
        Assert.Equal(before, Save(rule));
    }

    [Theory]
    [InlineData(-1.0, 1.0)]
    [InlineData(1.0, double.NaN)]
    public void Running_averages_that_can_not_be_are_refused(double mean, double variance)
    {
        using var file = new MemoryStream();
        using var writer = new BinaryWriter(file);
        writer.Write(true);
        writer.Write(mean);
        writer.Write(variance);
        writer.Write(0);
        var rule = Rule("z-score, warm");
        Feed(rule, [1, 2, 3]);
        byte[] before = Save(rule);
        Assert.Throws<InvalidDataException>(() => Load(rule, file.ToArray()));
        Assert.Equal(before, Save(rule));
    }

    [Fact]
    public void An_empty_memory_and_a_norm_of_zero_are_memories()
    {
        var (empty, rule) = (GradientClip.Percentile(50, 4), GradientClip.Percentile(50, 4));
        Load(rule, Save(empty));
        Assert.Equal(1, Feed(rule, [2]).Coefficient, Tolerance.Float32);
        var zero = GradientClip.Percentile(50, 4);
        Feed(zero, [0, 0]);
        Load(rule, Save(zero));
        Assert.Equal(0, Feed(rule, [2]).Coefficient);
    }

    [Fact]
    public void Rules_without_a_memory_write_nothing()
    {
        foreach (var rule in new[] { GradientClip.ByNorm(1), GradientClip.ByValue(1), GradientClip.ByGlobalNorm(1), GradientClip.ByBlockRms(1),
            GradientClip.Adaptive() })
        {
            Assert.False(rule.HasMemory);
            Assert.Empty(Save(rule));
            Load(rule, []);
        }
    }

    private static GradientClip Rule(string which) => which switch
    {
        "percentile, filling" => GradientClip.Percentile(40, 12),
        "percentile, full" => GradientClip.Percentile(40, 5),
        "z-score, warming up" => GradientClip.ZScore(0.8, 1.5, warmup: 10),
        _ => GradientClip.ZScore(0.8, 1.5, warmup: 4, maxNorm: 30),
    };

    private static StepReport Feed(GradientClip rule, double[] norms)
    {
        using var scope = NewDisposeScope();
        StepReport last = default;
        foreach (double norm in norms) last = rule.Apply([Make.Parameter(full(1, norm, ScalarType.Float64))]);
        return last;
    }

    private static byte[] Save(GradientClip rule)
    {
        using var file = new MemoryStream();
        using var writer = new BinaryWriter(file);
        rule.SaveMemory(writer);
        writer.Flush();
        return file.ToArray();
    }

    private static void Load(GradientClip rule, byte[] file)
    {
        using var reader = new BinaryReader(new MemoryStream(file));
        rule.LoadMemory(reader);
    }
}

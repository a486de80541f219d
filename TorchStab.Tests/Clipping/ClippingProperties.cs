using FsCheck;
using FsCheck.Fluent;
using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Clipping;

/// <summary>What holds for any parameters, dtypes and thresholds.</summary>
public class ClippingProperties
{
    private static readonly ScalarType[] Dtypes = [ScalarType.Float64, ScalarType.Float32, ScalarType.BFloat16];
    private static readonly double[] Orders = [0.5, 1, 2, 3, double.PositiveInfinity];

    [SeededProperty(MaxTest = 60)]
    public void The_norm_after_is_within_the_bound_and_the_direction_stays(int seed, PositiveInt count, NonNegativeInt order, PositiveInt threshold)
    {
        using var scope = NewDisposeScope();
        double p = Orders[order.Get % Orders.Length], c = threshold.Get / 10.0;
        var parameters = Parameters(seed, 1 + count.Get % 6);
        var before = parameters.ConvertAll(x => x.grad!.clone());
        double norm = stab.nn.utils.clip_grad_norm_(parameters, c, p);
        Assert.True(stab.nn.utils.get_total_norm(parameters.Select(x => x.grad!), p) <= c * (1 + Tolerance.BFloat16));
        double scale = Math.Min(1, c / (norm + 1e-6));
        for (int i = 0; i < before.Count; i++)
            Compare.Close(before[i].to(ScalarType.Float64).mul(scale).to(before[i].dtype), parameters[i].grad, $"gradient {i}");
    }

    [SeededProperty(MaxTest = 60)]
    public void Clipping_twice_is_clipping_once(int seed, PositiveInt count, PositiveInt threshold)
    {
        using var scope = NewDisposeScope();
        double c = threshold.Get / 10.0;
        foreach (var clip in new[] { GradientClip.ByValue(c), GradientClip.ByNorm(c), GradientClip.ByGlobalNorm(c, 2, 0), GradientClip.ByBlockRms(c),
            GradientClip.Adaptive(c) })
        {
            // One dtype: the rounding of a bfloat16 gradient would show in the common norm, and so in its float64 neighbour.
            var parameters = Parameters(seed, 1 + count.Get % 6, [Dtypes[count.Get % Dtypes.Length]]);
            clip.Apply(parameters);
            var once = parameters.ConvertAll(x => x.grad!.clone());
            clip.Apply(parameters);
            for (int i = 0; i < once.Count; i++) Compare.Close(once[i], parameters[i].grad, $"{clip}, gradient {i}");
        }
    }

    [SeededProperty(MaxTest = 60)]
    public void Every_rule_keeps_its_promise(int seed, PositiveInt count, PositiveInt threshold)
    {
        using var scope = NewDisposeScope();
        double c = threshold.Get / 10.0, slack = c * (1 + Tolerance.BFloat16);
        Assert.All(Clipped(GradientClip.ByValue(c), seed, count), g => Assert.True(g.abs().max().item<double>() <= slack));
        Assert.All(Clipped(GradientClip.ByNorm(c), seed, count), g => Assert.True(g.norm().item<double>() <= slack));
        Assert.All(Clipped(GradientClip.ByBlockRms(c), seed, count), g => Assert.True(g.pow(2).mean().sqrt().item<double>() <= slack));
    }

    [SeededProperty(MaxTest = 30)]
    public void A_report_tells_whether_anything_changed(int seed, PositiveInt count, PositiveInt threshold)
    {
        using var scope = NewDisposeScope();
        foreach (var clip in Make.Rules(threshold.Get / 5.0))
        {
            var parameters = Parameters(seed, 1 + count.Get % 6, [ScalarType.Float64]);
            var before = parameters.ConvertAll(x => x.grad!.clone());
            var report = clip.Apply(parameters);
            bool changed = before.Zip(parameters).Any(p => !p.First.equal(p.Second.grad!).all().item<bool>());
            Assert.Equal(changed, report.Clipped);
            Assert.Equal(report.Clipped, report.Coefficient < 1);
        }
    }

    private static IEnumerable<Tensor> Clipped(GradientClip clip, int seed, PositiveInt count)
    {
        var parameters = Parameters(seed, 1 + count.Get % 6);
        clip.Apply(parameters);
        return parameters.Select(p => p.grad!.to(ScalarType.Float64));
    }

    private static List<Parameter> Parameters(int seed, int count, ScalarType[]? dtypes = null)
    {
        var random = new Random(seed);
        dtypes ??= Dtypes;
        manual_seed(seed);
        return [.. Enumerable.Range(0, count).Select(_ => Make.Parameter(
            randn([.. Enumerable.Range(0, random.Next(4)).Select(_ => (long)random.Next(1, 6))]).mul(Math.Pow(10, random.Next(-2, 3)))
                .to(dtypes[random.Next(dtypes.Length)])))];
    }
}

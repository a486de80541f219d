using FsCheck;
using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Optimization;

/// <summary>What holds for any parameters, dtypes, thresholds and policies.</summary>
public class OptimizerProperties
{
    [SeededProperty(MaxTest = 40)]
    public void Nothing_that_is_not_finite_gets_in_and_the_counters_add_up(int seed, PositiveInt count, PositiveInt threshold)
    {
        using var scope = NewDisposeScope();
        var random = new Random(seed);
        foreach (var make in Make.Optimizers.Values)
        {
            var parameters = Parameters(random, seed, 1 + count.Get % 5);
            using var optimizer = make(parameters.Select((p, i) => ($"p{i}", p)));
            optimizer.Clip = Make.Rules(threshold.Get / 10.0)[random.Next(9)];
            optimizer.NonFinite = random.Next(2) == 0 ? NonFinitePolicy.Skip(100) : NonFinitePolicy.Throw;
            int bad = 0;
            for (int step = 0; step < 6; step++)
            {
                int culprit = Gradients(random, parameters);
                if (culprit >= 0) bad++;
                if (culprit >= 0 && optimizer.NonFinite == NonFinitePolicy.Throw) Assert.Throws<InvalidOperationException>(() => optimizer.step());
                else optimizer.step();
                Assert.Equal(culprit >= 0 ? $"p{culprit}" : null, optimizer.LastStep.FirstNonFinite);
                Assert.Equal(culprit >= 0, optimizer.LastStep.Skipped);
            }
            Assert.Equal((6, bad), ((int)optimizer.Counters.Steps, (int)optimizer.Counters.Skipped));
            Assert.All(parameters, p => Assert.True(p.isfinite().all().item<bool>()));
        }
    }

    // Sets random gradients, some missing, perhaps one with a value that is not finite; returns whose, or −1.
    private static int Gradients(Random random, List<Parameter> parameters)
    {
        int culprit = random.Next(3) == 0 ? random.Next(parameters.Count) : -1;
        for (int i = 0; i < parameters.Count; i++)
        {
            parameters[i].grad = i != culprit && random.Next(4) == 0 ? null : randn_like(parameters[i]);
            if (i == culprit) parameters[i].grad!.view(-1)[0] = new[] { double.NaN, double.PositiveInfinity, double.NegativeInfinity }[random.Next(3)];
        }
        return culprit;
    }

    private static List<Parameter> Parameters(Random random, int seed, int count)
    {
        manual_seed(seed);
        ScalarType[] dtypes = [ScalarType.Float64, ScalarType.Float32, ScalarType.BFloat16];
        return [.. Enumerable.Range(0, count).Select(_ => new Parameter(
            randn([.. Enumerable.Range(0, random.Next(4)).Select(_ => (long)random.Next(1, 6))]).to(dtypes[random.Next(dtypes.Length)])))];
    }
}

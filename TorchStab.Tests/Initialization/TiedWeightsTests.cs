using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Initialization;

/// <summary>A weight that two layers share is filled once, and what is reported of it is true.</summary>
public class TiedWeightsTests
{
    [Fact]
    public void Initialize_fills_it_once_and_measures_it_as_it_is()
    {
        using var model = new Tied(tokens: 50, size: 20);
        var report = stab.nn.init.initialize_(model);
        var entries = report.Entries.Where(e => e.Parameter.EndsWith("weight", StringComparison.Ordinal)).ToList();
        Assert.Equal(2, entries.Count);
        using var std = model.Head.weight.std(unbiased: false);
        Assert.All(entries, e => Assert.Equal(std.item<float>(), e.StdMeasured, 5));
        Assert.Contains("table.weight", entries[1].Scheme, StringComparison.Ordinal);
    }

    [Fact]
    public void Lsuv_does_not_rescale_it_for_its_second_layer()
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        var (first, second) = (nn.Linear(12, 12), nn.Linear(12, 12));
        second.weight = first.weight;
        using var model = nn.Sequential(("first", first), ("relu", nn.ReLU()), ("second", second));
        var batch = randn(64, 12) * 3;
        var report = stab.nn.init.lsuv_(model, batch, tol: 1e-3);
        var output = first.call(batch);
        Assert.InRange(output.var([0, 1], unbiased: false).item<float>(), 0.99, 1.01);
        var last = model.call(batch).var([0, 1], unbiased: false).item<float>();
        Assert.True(report.Entries[0].Converged);
        Assert.Equal(last, report.Entries[1].VarianceAfter, 4);
        Assert.Equal(Math.Abs(last - 1) <= 1e-3, report.Entries[1].Converged);
        Assert.Equal("first", report.Entries[1].SharesWeightOf);
        Assert.Contains("second (weight of first)", report.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Lsuv_leaves_the_table_that_an_output_layer_shares()
    {
        using var scope = NewDisposeScope();
        using var model = new Tied(tokens: 30, size: 8);
        var report = stab.nn.init.lsuv_(model, randint(0, 30, [16, 4], dtype: ScalarType.Int64));
        Assert.Equal("table.weight", Assert.Single(report.Entries).SharesWeightOf);
        var gram = model.Head.weight.t().mm(model.Head.weight);
        Compare.Close(eye(8), gram, "orthogonal, unscaled");
    }
}

using System.Globalization;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace TorchStab.Tests.Initialization;

/// <summary>What the reports say, number by number, and how they print.</summary>
public class InitReportTests
{
    private static readonly Dictionary<string, Func<Module>> Attention = new()
    {
        ["MultiheadAttention"] = () => MultiheadAttention(32, 4),
        ["TransformerEncoderLayer"] = () => TransformerEncoderLayer(32, 4, 64),
        ["TransformerDecoderLayer"] = () => TransformerDecoderLayer(32, 4, 64),
        ["TransformerEncoder"] = () => TransformerEncoder(TransformerEncoderLayer(32, 4, 64), 2),
        ["TransformerDecoder"] = () => TransformerDecoder(TransformerDecoderLayer(32, 4, 64), 2),
        ["Transformer"] = () => Transformer(32, 4, 1, 1, 64),
    };

    public static TheoryData<string> AttentionNames => [.. Attention.Keys];

    [Fact]
    public void A_report_prints_aligned_columns_in_any_culture()
    {
        var before = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = CultureInfo.GetCultureInfo("de-DE");
            var report = new InitializationReport(
                [new("encoder.weight", "He normal", 512, 0.0625, 0.06301), new("b", "zeros", null, null, 0)], [new("odd.scale", "Odd")]);
            Assert.Equal(
                """
                parameter       scheme     fan  std asked  std measured
                --------------  ---------  ---  ---------  ------------
                encoder.weight  He normal  512     0.0625       0.06301
                b               zeros                                 0
                left as it was: odd.scale of Odd

                """, report.ToString().ReplaceLineEndings("\n"));
            Assert.Equal(
                """
                layer         converged  variance before  variance after  iterations
                ------------  ---------  ---------------  --------------  ----------
                conv          yes                   12.5           1.001           2
                fully.linear  NO                       0               0          10
                not reached: spare

                """, new LsuvReport([new("conv", 12.5, 1.001, 2, true), new("fully.linear", 0, 0, 10, false)], ["spare"]).ToString().ReplaceLineEndings("\n"));
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    [Theory]
    [InlineData(FanMode.FanIn, 300.0)]
    [InlineData(FanMode.FanOut, 200.0)]
    [InlineData(FanMode.FanAvg, 250.0)]
    public void He_says_the_fan_it_took_and_Xavier_the_mean_of_both(FanMode mode, double fan)
    {
        using var model = Sequential(("a", Linear(300, 200)), ("drop", Dropout(0.5)), ("relu", ReLU()), ("b", Linear(200, 100)),
            ("own", new Plain()), ("tanh", Tanh()));
        var entries = stab.nn.init.initialize_(model, new() { Mode = mode }).Entries;
        Assert.Equal(("He normal (before ReLU)", fan), (entries[0].Scheme, entries[0].Fan!.Value));
        Assert.Equal(Math.Sqrt(2 / fan), entries[0].StdAsked!.Value, 15);
        Assert.Equal(("Xavier normal (no activation known)", 150.0), (entries[2].Scheme, entries[2].Fan!.Value));
        Assert.Equal(Math.Sqrt(2.0 / 300), entries[2].StdAsked!.Value, 15);
    }

    [Fact]
    public void A_random_leaky_ReLU_counts_with_its_mean_slope()
    {
        using var model = Sequential(("a", Linear(50, 20)), ("rrelu", RReLU(0.1, 0.5)));
        var entry = stab.nn.init.initialize_(model).Entries[0];
        Assert.Equal(Math.Sqrt(2 / (1 + 0.3 * 0.3) / 50), entry.StdAsked!.Value, 12);
    }

    [Fact]
    public void The_measured_deviation_is_that_of_the_numbers_themselves()
    {
        using var scope = NewDisposeScope();
        using var model = Linear(2, 1);
        var report = stab.nn.init.initialize_(model);
        double[] w = model.weight!.to(ScalarType.Float64).detach().flatten().data<double>().ToArray();
        Assert.Equal(Math.Abs(w[0] - w[1]) / 2, report.Entries[0].StdMeasured, Tolerance.Float32); // two numbers are enough
        Assert.True(double.IsNaN(report.Entries[1].StdMeasured)); // one is not
    }

    [Fact]
    public void Shared_parameters_and_modules_are_told_once_more_or_not_at_all()
    {
        using var a = Linear(6, 6);
        using var b = Linear(6, 6);
        b.weight = a.weight;
        using var model = Sequential(("a", a), ("b", b), ("again", a));
        var report = stab.nn.init.initialize_(model);
        Assert.Equal([("a.weight", "Xavier"), ("a.bias", "zeros"), ("b.weight", "shared"), ("b.bias", "zeros")],
            report.Entries.Select(e => (e.Parameter, e.Scheme.Split(' ')[0])));
        Assert.Equal("shared with a.weight", report.Entries[2].Scheme);
        Assert.Equal(report.Entries[0].StdMeasured, report.Entries[2].StdMeasured);
    }

    [Fact]
    public void Recurrent_layers_say_what_each_gate_took()
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        using var lstm = nn.LSTM(40, 60);
        var entries = stab.nn.init.initialize_(lstm).Entries;
        var (input, hidden) = (entries.Single(e => e.Parameter == "weight_ih_l0"), entries.Single(e => e.Parameter == "weight_hh_l0"));
        Assert.Equal(("Xavier normal per gate", 50.0, Math.Sqrt(2.0 / 100)), (input.Scheme, input.Fan!.Value, input.StdAsked!.Value));
        Assert.Equal(("orthogonal per gate", 60.0, 1 / Math.Sqrt(60)), (hidden.Scheme, hidden.Fan!.Value, hidden.StdAsked!.Value));
        foreach (var e in new[] { input, hidden }) Assert.InRange(e.StdMeasured / e.StdAsked!.Value, 0.95, 1.05);
        Assert.Equal("zeros, forget gate 1", entries.Single(e => e.Parameter == "bias_ih_l0").Scheme);
        Assert.Equal("zeros", entries.Single(e => e.Parameter == "bias_hh_l0").Scheme);
    }

    [Theory]
    [MemberData(nameof(AttentionNames))]
    public void Attention_of_every_kind_is_known(string name)
    {
        using var scope = NewDisposeScope();
        manual_seed(4);
        using var module = Attention[name]();
        foreach (var p in module.parameters()) using (no_grad()) p.fill_(7);
        var report = stab.nn.init.initialize_(module);
        Assert.Empty(report.Untouched);
        var state = module.state_dict();
        foreach (var e in report.Entries)
        {
            var value = state[e.Parameter];
            if (value.dim() < 2) Assert.True(value.eq(e.Parameter.EndsWith("weight", StringComparison.Ordinal) ? 1 : 0).all().item<bool>(), e.Parameter);
            else
            {
                long rows = e.Parameter.EndsWith("in_proj_weight", StringComparison.Ordinal) ? value.size(0) / 3 : value.size(0);
                Assert.Equal((rows + value.size(1)) / 2.0, e.Fan);
                Assert.Equal(Math.Sqrt(2.0 / (rows + value.size(1))), e.StdAsked);
                Assert.InRange(e.StdMeasured / e.StdAsked!.Value, 0.9, 1.1);
            }
        }
    }

    private sealed class Plain() : Module<Tensor, Tensor>(nameof(Plain))
    {
        public override Tensor forward(Tensor input) => input.alias();
    }
}

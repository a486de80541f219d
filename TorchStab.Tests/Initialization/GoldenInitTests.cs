using System.Text.Json;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Initialization;

/// <summary>Every case of PyTorch's suite: the tensors a seed gives, how much of the stream they use up, gains, fans, failures.</summary>
public class GoldenInitTests
{
    public static TheoryData<string> Fills => GoldenSuite.Ids("init", c => c.Json.TryGetProperty("calls", out _));

    public static TheoryData<string> Failures => GoldenSuite.Ids("init", c => c.ExpectsError);

    [Theory, MemberData(nameof(Fills))]
    public void Seed_gives_PyTorchs_tensor(string label) => Run(GoldenSuite.Find("init", label), withGenerator: false);

    [Theory, MemberData(nameof(Fills))]
    public void Generator_of_that_seed_gives_the_same(string label) => Run(GoldenSuite.Find("init", label), withGenerator: true);

    private static void Run(GoldenCase golden, bool withGenerator)
    {
        using var scope = NewDisposeScope();
        long seed = golden.Json.GetProperty("seed").GetInt64();
        using var generator = withGenerator ? new Generator((ulong)seed) : null;
        manual_seed(withGenerator ? seed + 1 : seed);
        int k = 0;
        foreach (var call in golden.Json.GetProperty("calls").EnumerateArray())
        {
            var shape = (call.TryGetProperty("shape", out var own) ? own : golden.Json.GetProperty("shape"))
                .EnumerateArray().Select(s => s.GetInt64()).ToArray();
            var target = full(shape, double.NaN, golden.Dtype);
            Assert.Same(target, InitCalls.Apply(target, call, generator));
            golden.Check($"out{k++}", target);
        }

        golden.Check("rng_probe", rand(3, ScalarType.Float64, generator: generator));
    }

    [Theory, MemberData(nameof(Failures))]
    public void Failure_has_PyTorchs_words(string label)
    {
        var golden = GoldenSuite.Find("init", label);
        using var scope = NewDisposeScope();
        var error = Assert.ThrowsAny<ArgumentException>(() =>
        {
            if (golden.Op == "calculate_gain") return stab.nn.init.calculate_gain((Nonlinearity)99);
            var target = zeros(golden.Params.GetProperty("shape").EnumerateArray().Select(s => s.GetInt64()).ToArray());
            return InitCalls.Apply(target, golden.Op, golden.Params, null).NumberOfElements;
        });
        Assert.Contains(golden.ErrorMessage.Replace("gelu", "99", StringComparison.Ordinal), error.Message, StringComparison.Ordinal);
        Assert.NotNull(error.ParamName);
    }

    [Fact]
    public void Gains_match()
    {
        var golden = GoldenSuite.Load("init").Cases.Single(c => c.Op == "calculate_gain" && !c.ExpectsError);
        foreach (var row in golden.Json.GetProperty("table").EnumerateArray())
            Assert.Equal(row[2].GetDouble(), stab.nn.init.calculate_gain(InitCalls.ToNonlinearity(row[0].GetString()!), GoldenCase.ToNumber(row[1])));
    }

    [Fact]
    public void Fans_match()
    {
        var golden = GoldenSuite.Load("init").Cases.Single(c => c.Op == "fan");
        foreach (var row in golden.Json.GetProperty("table").EnumerateArray())
        {
            using var weight = empty(row[0].EnumerateArray().Select(s => s.GetInt64()).ToArray());
            Assert.Equal((row[1].GetInt64(), row[2].GetInt64()), stab.nn.init.calculate_fan_in_and_fan_out(weight));
        }
    }
}

/// <summary>Calls a scheme by PyTorch's name with PyTorch's arguments from JSON.</summary>
internal static class InitCalls
{
    public static Tensor Apply(Tensor t, JsonElement call, Generator? g) => Apply(t, call.GetProperty("fn").GetString()!, call, g);

    public static Tensor Apply(Tensor t, string fn, JsonElement call, Generator? g)
    {
        double Number(string name, double otherwise) => call.TryGetProperty(name, out var v) ? GoldenCase.ToNumber(v)!.Value : otherwise;
        string Text(string name, string otherwise) => call.TryGetProperty(name, out var v) ? v.GetString()! : otherwise;
        FanMode Mode() => Text("mode", "fan_in") == "fan_in" ? FanMode.FanIn : FanMode.FanOut;
        var function = ToNonlinearity(Text("nonlinearity", "leaky_relu"));
        return fn switch
        {
            "uniform_" => stab.nn.init.uniform_(t, Number("a", 0), Number("b", 1), g),
            "normal_" => stab.nn.init.normal_(t, Number("mean", 0), Number("std", 1), g),
            "trunc_normal_" => stab.nn.init.trunc_normal_(t, Number("mean", 0), Number("std", 1), Number("a", -2), Number("b", 2), g),
            "constant_" => stab.nn.init.constant_(t, Number("val", 0)),
            "ones_" => stab.nn.init.ones_(t),
            "zeros_" => stab.nn.init.zeros_(t),
            "eye_" => stab.nn.init.eye_(t),
            "dirac_" => stab.nn.init.dirac_(t, (long)Number("groups", 1)),
            "orthogonal_" => stab.nn.init.orthogonal_(t, Number("gain", 1), g),
            "sparse_" => stab.nn.init.sparse_(t, Number("sparsity", 0), Number("std", 0.01), g),
            "xavier_uniform_" => stab.nn.init.xavier_uniform_(t, Number("gain", 1), g),
            "xavier_normal_" => stab.nn.init.xavier_normal_(t, Number("gain", 1), g),
            "kaiming_uniform_" => stab.nn.init.kaiming_uniform_(t, Number("a", 0), Mode(), function, g),
            "kaiming_normal_" => stab.nn.init.kaiming_normal_(t, Number("a", 0), Mode(), function, g),
            _ => throw new ArgumentOutOfRangeException(nameof(fn), fn, "no such scheme"),
        };
    }

    public static Nonlinearity ToNonlinearity(string name) =>
        Enum.Parse<Nonlinearity>(name.Replace("_", "", StringComparison.Ordinal), ignoreCase: true);
}

using System.Text.Json;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Optimization;

/// <summary>The golden suite <c>optim</c>: ten steps from given gradients, with and without clipping to norm 1 before each.</summary>
public class GoldenOptimTests
{
    public static TheoryData<string> Ours => GoldenSuite.Ids("optim", c => c.Op is "Adam");

    [Theory]
    [MemberData(nameof(Ours))]
    public void Case(string label)
    {
        var c = GoldenSuite.Find("optim", label);
        using var scope = NewDisposeScope();
        if (c.ExpectsError)
        {
            var error = Assert.Throws<ArgumentException>(() => GoldenOptimizers.Ours(c, GoldenOptimizers.Parameters(c)));
            Assert.Contains(c.ErrorMessage, error.Message);
            return;
        }
        var parameters = GoldenOptimizers.Parameters(c);
        using var optimizer = GoldenOptimizers.Ours(c, parameters);
        if (c.Json.GetProperty("clip_max_norm") is { ValueKind: JsonValueKind.Number } max) optimizer.Clip = GradientClip.ByGlobalNorm(max.GetDouble());
        GoldenOptimizers.Run(c, parameters, optimizer, () => optimizer.LastStep);
        GoldenOptimizers.CheckState(c, optimizer);
    }
}

using System.Text.Json;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Optimization;

/// <summary>The golden suite <c>optim</c>: ten steps from given gradients, with and without clipping to norm 1 before each.</summary>
public class GoldenOptimTests : InOneForm
{
    public GoldenOptimTests() : base(null) { }

    private protected GoldenOptimTests(KernelForm form) : base(form) { }

    public static TheoryData<string> Ours => GoldenSuite.Ids("optim", c => c.Op is "Adam" or "AdamW" or "SGD" or "RMSprop");

    // TorchSharp's RAdam applies the learning rate twice once ρ exceeds 5, and is no oracle: see RAdam_of_TorchSharp_is_wrong.
    public static TheoryData<string> Wrapped => GoldenSuite.Ids("optim", c => c.Op is "Adagrad" or "NAdam" or "Adamax" or "Adadelta");

    public static TheoryData<string> RAdam => GoldenSuite.Ids("optim", c => c.Op is "RAdam");

    [Theory]
    [MemberData(nameof(Ours))]
    public void Optimizer_of_TorchStab(string label)
    {
        var c = GoldenSuite.Find("optim", label);
        using var scope = NewDisposeScope();
        var parameters = GoldenOptimizers.Parameters(c);
        if (c.ExpectsError)
        {
            var error = Assert.Throws<ArgumentException>(() => GoldenOptimizers.Stab(c, parameters));
            Assert.Contains(c.ErrorMessage, error.Message);
            return;
        }
        using var optimizer = GoldenOptimizers.Stab(c, parameters);
        optimizer.Clip = Clip(c);
        GoldenOptimizers.Run(c, parameters, optimizer, () => optimizer.LastStep);
        GoldenOptimizers.CheckState(c, optimizer);
    }

    [Theory]
    [MemberData(nameof(Ours))]
    [MemberData(nameof(Wrapped))]
    public void Optimizer_in_a_ClippedOptimizer(string label)
    {
        var c = GoldenSuite.Find("optim", label);
        if (c.ExpectsError) return;
        using var scope = NewDisposeScope();
        var parameters = GoldenOptimizers.Parameters(c);
        var inner = c.Op is "Adam" or "AdamW" or "SGD" or "RMSprop" ? GoldenOptimizers.Stab(c, parameters) : GoldenOptimizers.Theirs(c, parameters);
        using var optimizer = stab.optim.ClippedOptimizer(inner, Clip(c) ?? GradientClip.ByGlobalNorm(double.PositiveInfinity));
        GoldenOptimizers.Run(c, parameters, optimizer, () => optimizer.LastStep);
    }

    [Theory]
    [MemberData(nameof(RAdam))]
    public void RAdam_of_TorchSharp_is_wrong(string label)
    {
        var c = GoldenSuite.Find("optim", label);
        using var scope = NewDisposeScope();
        var parameters = GoldenOptimizers.Parameters(c);
        using var optimizer = stab.optim.ClippedOptimizer(GoldenOptimizers.Theirs(c, parameters), Clip(c)
            ?? GradientClip.ByGlobalNorm(double.PositiveInfinity));
        var error = Assert.ThrowsAny<Xunit.Sdk.XunitException>(() => GoldenOptimizers.Run(c, parameters, optimizer, () => optimizer.LastStep));
        Assert.Contains("s10_p", error.Message); // the first two steps, still without rectification, agree
    }

    private static GradientClip? Clip(GoldenCase c) =>
        c.Json.GetProperty("clip_max_norm") is { ValueKind: JsonValueKind.Number } max ? GradientClip.ByGlobalNorm(max.GetDouble()) : null;
}

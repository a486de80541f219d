using TorchSharp.Modules;
using TorchStab.Optimization;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Optimization;

/// <summary>A step asks whoever sums gradients over processes to finish first, and tells which of them brought a value that is not finite.</summary>
public class SharedGradientsTests
{
    public static TheoryData<bool> Wrapped => [false, true];

    [Theory]
    [MemberData(nameof(Wrapped))]
    public void A_step_uses_the_sum_and_names_the_rank(bool wrapped)
    {
        using var scope = NewDisposeScope();
        var (shared, own) = (Make.Parameter(ones(1)), Make.Parameter(ones(1)));
        var sum = new Sum(shared);
        using optim.Optimizer optimizer = wrapped
            ? stab.optim.ClippedOptimizer(optim.SGD([shared, own], 1), GradientClip.ByValue(100), NonFinitePolicy.Skip(1))
            : stab.optim.SGD([shared, own], 1, nonFinite: NonFinitePolicy.Skip(1));
        SharedGradients.Register(shared, sum);
        try
        {
            optimizer.step();
            Compare.Identical(full(1, -3f), shared, "the sum's gradient");
            Compare.Identical(zeros(1), own, "its own gradient");
            sum.Value = float.NaN;
            optimizer.step();
            Assert.Equal(("parameter 0", 5), (((IClippedStep)optimizer).LastStep.FirstNonFinite, ((IClippedStep)optimizer).LastStep.FirstNonFiniteRank));
            Assert.Contains("parameter 0 on rank 5", Assert.Throws<InvalidOperationException>(() => optimizer.step()).Message, StringComparison.Ordinal);
        }
        finally
        {
            SharedGradients.Forget(shared);
        }
        shared.grad = ones(1);
        optimizer.step();
        Compare.Identical(full(1, -4f), shared, "forgotten");
        Assert.Null(((IClippedStep)optimizer).LastStep.FirstNonFiniteRank);
    }

    private sealed class Sum(Parameter parameter) : ISharedGradients
    {
        public float Value { get; set; } = 4;

        public void Combine() => parameter.grad = full(1, Value);

        public int? CulpritOf(Parameter p) => ReferenceEquals(p, parameter) ? 5 : null;
    }
}

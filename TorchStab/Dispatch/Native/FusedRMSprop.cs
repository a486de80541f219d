using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Dispatch;

/// <summary>
/// RMSprop without momentum, not centered: <c>_fused_adam_</c> with β₁ = 0, whose first moment is the gradient itself and is thrown away, in an update so late
/// that there is no bias correction.
/// </summary>
/// <param name="LearningRate">η.</param>
/// <param name="Alpha">α, below 1: otherwise Adam's bias correction is 0.</param>
/// <param name="Eps">ε.</param>
/// <param name="Decay">λ.</param>
/// <param name="Maximize">Whether to maximize the loss.</param>
internal sealed record FusedRMSprop(double LearningRate, double Alpha, double Eps, double Decay, bool Maximize) : FusedUpdate
{
    /// <inheritdoc/>
    public override bool HasTemporaries => true;

    /// <summary>α to this power is 0 for every α below 1.</summary>
    public override float AgeOf(long updates) => 1e30f;

    /// <inheritdoc/>
    protected override FusedUpdate Trial => new FusedRMSprop(0.25, 0.75, 0.25, 0.5, false);

    /// <inheritdoc/>
    protected override double[] Expected => [0.25, 0.0625];

    /// <inheritdoc/>
    public override void Run(in FusedTensors t)
    {
        using var scope = NewDisposeScope();
        var thrownAway = TemporaryTensors.Zeros(t.Parameters, t.Numbers);
        new FusedAdam(false, LearningRate, 0, Alpha, Eps, Decay, false, Maximize).Run(t with { State0 = thrownAway.Each, State1 = t.State0 });
    }
}

/// <summary>RMSprop, centered or with momentum, in operations on lists. The moments are the mean square, the momentum and the mean.</summary>
/// <param name="LearningRate">η.</param>
/// <param name="Alpha">α.</param>
/// <param name="Eps">ε.</param>
/// <param name="Decay">λ.</param>
/// <param name="Momentum">μ.</param>
/// <param name="Centered">Whether to divide by the standard deviation.</param>
/// <param name="Maximize">Whether to maximize the loss.</param>
internal sealed record ForeachRMSprop(double LearningRate, double Alpha, double Eps, double Decay, double Momentum, bool Centered, bool Maximize) : FusedUpdate
{
    /// <inheritdoc/>
    public override bool HasTemporaries => true;

    /// <inheritdoc/>
    public override double Penalty => Decay;

    /// <inheritdoc/>
    public override bool Reverses => Maximize;

    /// <inheritdoc/>
    protected override FusedUpdate Trial => new ForeachRMSprop(0.5, 0.75, 0.25, 0, 0.5, true, false);

    /// <inheritdoc/>
    protected override double[] Expected
    {
        get
        {
            double share = 0.25 / (Math.Sqrt(0.015625 - (0.0625 * 0.0625)) + 0.25);
            return [0.5 - (0.5 * share), 0.015625, share, 0.0625];
        }
    }

    /// <inheritdoc/>
    public override void Begin(in FusedTensors t)
    {
        Foreach.Multiply(t.State0, Alpha, t.Numbers);
        Foreach.AddProducts(t.State0, t.Gradients, t.Gradients, 1 - Alpha);
        if (Momentum != 0) Foreach.Multiply(t.State1, Momentum, t.Numbers);
        // m ← αm + (1−α)g = m + (1−α)(g − m): a step of SGD with a decay of −1.
        if (Centered) new FusedSGD(Alpha - 1, 0, 0, -1, false, false).Run(t with { Parameters = t.State2 });
    }

    /// <inheritdoc/>
    public override void Run(in FusedTensors t)
    {
        using var scope = NewDisposeScope();
        var denominators = TemporaryTensors.Copies(t.State0, t.Numbers);
        if (Centered)
        {
            Foreach.AddProducts(denominators.Each, t.State2, t.State2, -1);
            denominators.All!.relu_(); // rounding may make the variance negative; NaN remains
        }
        denominators.All!.sqrt_().add_(Held(Eps), One);
        if (Momentum == 0)
        {
            Foreach.AddQuotients(t.Parameters, t.Gradients, denominators.Each, -LearningRate);
            return;
        }
        Foreach.AddQuotients(t.State1, t.Gradients, denominators.Each, 1);
        new FusedSGD(LearningRate, 0, 0, 0, false, false).Run(t with { Gradients = t.State1 });
    }
}

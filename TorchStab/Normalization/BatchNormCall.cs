using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>
/// One call of batch_norm on its state: checks, then the maths of <see cref="BatchNormFunctional"/>, then one write of the running
/// statistics. A call that fails leaves them as they were.
/// </summary>
internal record struct BatchNormCall(Tensor Input, Tensor? RunningMean, Tensor? RunningVar, Tensor? Weight, Tensor? Bias, double Eps)
{
    /// <summary>Which values count in the statistics; null for all.</summary>
    public Tensor? Mask { get; init; }

    /// <summary>Whether max(0, ·) follows.</summary>
    public bool Relu { get; init; }

    /// <summary>The bounds of batch renormalization; null for none.</summary>
    public (double RMax, double DMax)? Renorm { get; init; }

    public SingleValuePolicy SingleValue { get; init; }

    /// <summary>Whether the call counts as a batch of training: one without elements does, as in PyTorch; a fallback does not.</summary>
    public bool Trained { get; set; }

    private readonly bool HasRunning => RunningMean is not null && RunningVar is not null;

    /// <summary>torch.nn.functional.batch_norm, with what the properties add.</summary>
    public Tensor Run(bool training, double momentum)
    {
        ArgumentNullException.ThrowIfNull(Input, "input");
        bool mayFallBack = SingleValue == SingleValuePolicy.UseRunningStatistics && HasRunning;
        if (training && !mayFallBack) BatchNormCheck.MoreThanOneValue(Input, HasRunning);
        BatchNormCheck.Arguments(Input, RunningMean, RunningVar, Weight, Bias, training, Eps);
        if (Mask is not null) MaskCheck.Require(Mask, Input);
        if (Input.numel() == 0) return Empty(training);
        if (!training) return Evaluate();
        if (TakesKernel() && TrainByKernel(mayFallBack, momentum) is { } done) return done;

        using var scope = NewDisposeScope();
        RunningStatistics.RequireWritable(RunningMean, RunningVar, Input);
        var counts = Mask is null ? null : BatchNormFunctional.MaskCount(Input, Mask);
        double count = counts is null ? BatchNormCheck.ValuesPerChannel(Input) : counts.min().to(ScalarType.Float64).item<double>();
        if (count <= 1) return mayFallBack ? Evaluate().MoveToOuterDisposeScope() : throw BatchNormCheck.TooFewValues(Input, HasRunning, masked: true);
        var (output, mean, variance) = Normalize();
        if (counts is null) RunningStatistics.Update(RunningMean, RunningVar, mean, variance, count, momentum);
        else RunningStatistics.Update(RunningMean, RunningVar, mean, variance, counts, momentum);
        Trained = true;
        return output.MoveToOuterDisposeScope();
    }

    // Nothing but the output becomes a tensor: what a small batch costs is mostly tensors.
    private readonly bool TakesKernel() => Mask is null && Renorm is null && KernelSelection.TakesChannels(Input, Weight, Bias)
        && KernelSelection.TakesStatistics(RunningMean) && KernelSelection.TakesStatistics(RunningVar);

    private Tensor? TrainByKernel(bool mayFallBack, double momentum)
    {
        double count = BatchNormCheck.ValuesPerChannel(Input);
        if (count <= 1 && mayFallBack) return Evaluate();
        using var state = BatchNormNode.Begin(Input, Weight, Bias, Eps, Relu);
        if (BatchNormNode.Train(state, Relu) is not { } output) return null;
        RunningStatistics.Update(RunningMean, RunningVar, state.Means, state.Variances, count, momentum);
        Trained = true;
        return output;
    }

    private readonly (Tensor Output, Tensor Mean, Tensor Variance) Normalize() =>
        Renorm is { } limits && HasRunning
            ? BatchRenormFunctional.Normalize(Input, Mask, RunningMean!, RunningVar!, Weight, Bias, Eps, limits.RMax, limits.DMax)
            : BatchNormFunctional.Normalize(Input, Mask, Weight, Bias, Eps, Relu);

    private readonly Tensor Evaluate()
    {
        if (Mask is null) return BatchNormFunctional.Evaluate(Input, RunningMean!, RunningVar!, Weight, Bias, Eps, Relu);
        using var scope = NewDisposeScope();
        return (this with { Input = Moments.Clean(Input, Mask.ne(0)), Mask = null }).Evaluate().MoveToOuterDisposeScope();
    }

    private Tensor Empty(bool training)
    {
        Trained = training;
        return BatchNormFunctional.Empty(Input, Weight, Bias);
    }
}

using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>
/// The autograd node of group normalization by kernel or native operation. Instance normalization is group normalization with one channel per group; errors use
/// its own name.
/// </summary>
internal sealed class GroupNormNode : GraphOp
{
    /// <summary>The nodes of group_norm and instance_norm.</summary>
    public static readonly GroupNormNode Group = new("GroupNorm"), Instance = new("InstanceNorm");

    private GroupNormNode(string name) => Name = name;

    /// <inheritdoc/>
    public override string Name { get; }

    /// <summary>Prepares a call. The caller has checked the arguments with <see cref="NormSelection.FormOfGroups"/>.</summary>
    public NodeState Begin(Tensor input, long groups, Tensor? weight, Tensor? bias, double eps)
    {
        var state = AutogradPlug.Begin(this, input, weight, bias);
        state.Channels((int)groups);
        state.Epsilon = eps;
        return state;
    }

    /// <summary>
    /// Normalizes, and stores the statistics of each sample and group in the state (a kernel does; a native operation keeps tensors for the backward pass);
    /// null where the values are too large or too small for a kernel.
    /// </summary>
    public static Tensor? Run(NodeState state, NormForm form)
    {
        nint output = form == NormForm.Native ? GroupNormNative.Forward(state, channelsLast: state.Op != Instance) : GroupNormLaunch.Forward(state);
        return output == 0 ? null : state.Finish(output);
    }

    /// <inheritdoc/>
    public override void Backward(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients)
    {
        if (state.IsNative) GroupNormNative.Backward(state, outputGradient, saved, ref gradients);
        else GroupNormLaunch.Backward(state, outputGradient, saved, ref gradients);
    }

    /// <inheritdoc/>
    public override (Tensor? Input, Tensor? Weight, Tensor? Bias) BackwardInTensorOps(NodeState state, Tensor outputGradient, Tensor input, Tensor? weight,
        Tensor? bias)
    {
        // With one channel per group no reshape is needed; it would add a node to the graph.
        long[] shape = input.shape, grouped = this == Instance ? shape : [shape[0], state.Groups, shape[1] / state.Groups, .. shape[2..]];
        long[] dims = ChannelDims.OfPositions(grouped.Length);
        var moments = Moments.Over(As(input.to(Moments.Accumulator(input)), grouped), dims, state.Epsilon);
        var standardized = moments.Centred * moments.InverseDeviation;
        return NormGradient.Of(state, outputGradient, As(standardized, shape), input, weight, ChannelDims.Shape(input),
            d => As(NormGradient.ThroughStatistics(As(d, grouped), standardized, moments.Rate, dims), shape));

        Tensor As(Tensor t, long[] sizes) => this == Instance ? t : t.reshape(sizes);
    }
}

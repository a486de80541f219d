using TorchStab.Kernels;

namespace TorchStab.Dispatch;

/// <summary>
/// Runs the kernels of normalization over channels on tensors that <see cref="NormSelection.FormOfChannels"/> accepted: in channels_last memory those of
/// rows, otherwise those of tiles of positions.
/// </summary>
internal static unsafe class LayerNorm2dLaunch
{
    /// <summary>Elements of a block of tiles, which has its own sums of channels, and the most blocks.</summary>
    private const long BlockElements = 32 * 1024;
    private const int MostBlocks = 64;

    /// <summary>Normalizes into a new tensor, and stores mean and inverse deviation of each position in the state if the call is recorded.</summary>
    /// <returns>The output's handle; 0 if the values are too large or too small for a kernel.</returns>
    public static nint Forward(NodeState state)
    {
        if (state.Layout == NormLayout.ChannelsLast) return RowNormLaunch<Yes>.Forward(state, state.Middle);
        var inputs = state.Inputs;
        var element = TensorMemory.ElementOf(inputs.Input);
        if (state.IsWanted) state.Reserve(2L * state.Outer * state.Inner);
        using var parameters = new ParameterMemory(inputs, state.Middle);
        var job = Describe(state, inputs, parameters, state.IsWanted);
        nint output = NewTensor.Like(inputs.Input);
        job.Output = TensorMemory.At(output);
        job.Epsilon = state.Epsilon;
        job.Stream = ChannelNormLaunch.IsLarge(job, element);
        int extreme = 0;
        job.Extreme = &extreme;
        ChannelNormLaunch.Run(Of(element).Forward, job, Tiles(job, element));
        return extreme == 0 ? output : NewTensor.Discard(output);
    }

    /// <summary>Computes the required gradients, in new tensors.</summary>
    public static void Backward(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients)
    {
        if (state.Layout == NormLayout.ChannelsLast)
        {
            RowNormLaunch<Yes>.Backward(state, state.Middle, outputGradient, saved, ref gradients);
            return;
        }
        var element = TensorMemory.ElementOf(saved.Input);
        using var parameters = new ParameterMemory(saved, state.Middle);
        var job = Describe(state, saved, parameters, hasStatistics: true);
        nint contiguous = NewTensor.Contiguous(outputGradient);
        Split(ref job, element);
        void* sums = Scratch.Rent(2L * sizeof(double) * job.Blocks * job.Channels);
        int extreme = 0;
        job.Extreme = &extreme;
        try
        {
            ChannelNormLaunch.Allocate(state, saved, parameters, contiguous, ref job, ref gradients);
            job.Sums = (double*)sums;
            ref readonly var kernel = ref Of(element);
            ChannelNormLaunch.Run(kernel.Backward, job, job.Blocks);
            if (state.AnyAffineWanted) ChannelNormLaunch.Merge(kernel.Merge, job);
            parameters.StoreGradients(gradients);
        }
        finally
        {
            Scratch.Return(sums);
            LibTorch.Dispose(contiguous);
        }
        if (extreme != 0) WideBackward.Replace(state, outputGradient, saved, ref gradients);
    }

    private static ref readonly LayerNorm2dKernel Of(Element element) => ref Instances<LayerNorm2dKernel>.Of(element, (int)KernelSelection.Width);

    // The statistics are those of the positions of all samples: all means, then all inverse deviations.
    private static ChannelNormJob Describe(NodeState state, in Handles inputs, in ParameterMemory parameters, bool hasStatistics)
    {
        var job = ChannelNormLaunch.Describe(state, inputs, parameters);
        job.Mean = hasStatistics ? state.Statistics : null;
        job.InverseDeviation = hasStatistics ? state.Statistics + job.Rows : null;
        return job;
    }

    private static int Tiles(in ChannelNormJob job, Element element) =>
        job.Samples * PositionTile.Count(job.Channels, job.Positions, TensorMemory.SizeOf(element));

    // Depends only on the sizes, never on the number of threads, because the blocks determine the order of the sums.
    private static void Split(ref ChannelNormJob job, Element element)
    {
        int tiles = Tiles(job, element);
        long blocks = Math.Clamp(job.Rows * job.Channels / BlockElements, 1, Math.Min(MostBlocks, tiles));
        job.BlockRows = (int)((tiles + blocks - 1) / blocks);
        job.Blocks = (tiles + job.BlockRows - 1) / job.BlockRows;
    }
}

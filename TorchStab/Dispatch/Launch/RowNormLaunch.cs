using TorchStab.Kernels;

namespace TorchStab.Dispatch;

/// <summary>
/// Runs the kernels of a norm over rows on tensors that <see cref="NormSelection.FormOfRows"/> accepted: reads pointers, splits the work into items, and
/// runs them on the team. LayerNorm if <typeparamref name="Centre"/> is set, otherwise RMSNorm.
/// </summary>
internal static unsafe class RowNormLaunch<Centre> where Centre : struct, IFlag
{
    /// <summary>Elements of a block of rows, which has its own sums of columns. More blocks allow more threads, but their sums take longer to merge.</summary>
    private const long BlockElements = 32 * 1024;
    private const int MostBlocks = 64;

    /// <summary>The smallest number of rows of a block, which limits the memory for sums to a quarter of the activation.</summary>
    private const int LeastBlockRows = 8;

    /// <summary>Outputs and input gradients of at least this many bytes do not fit in the caches, and are stored with non-temporal stores.</summary>
    private const long StreamBytes = 16L << 20;

    /// <summary>
    /// Normalizes rows of some columns into a new tensor, and stores the statistics in the state if the call is recorded. A channels_last input has rows of
    /// channels.
    /// </summary>
    /// <returns>The output's handle; 0 if the values are too large or too small for a kernel.</returns>
    public static nint Forward(NodeState state, int columns)
    {
        var inputs = state.Inputs;
        using var parameters = new ParameterMemory(inputs, columns);
        var job = Describe(inputs, parameters, columns, out var element, out long elements);
        nint output = NewTensor.Like(inputs.Input);
        job.Output = TensorMemory.At(output);
        job.Epsilon = state.Epsilon;
        int extreme = 0;
        job.Extreme = &extreme;
        if (state.IsWanted)
        {
            job.Mean = state.Reserve(2L * job.Rows);
            job.InverseDeviation = job.Mean + job.Rows;
        }
        Run(Of(element).Forward, job, job.Rows, elements);
        return extreme == 0 ? output : NewTensor.Discard(output);
    }

    /// <summary>Computes the required gradients, in new tensors.</summary>
    public static void Backward(NodeState state, int columns, nint outputGradient, in Handles saved, ref Handles gradients)
    {
        using var parameters = new ParameterMemory(saved, columns);
        var job = Describe(saved, parameters, columns, out var element, out long elements);
        nint aligned = ChannelNormLaunch.InLayoutOf(state, saved.Input, outputGradient);
        void* partial = null;
        int extreme = 0;
        job.Extreme = &extreme;
        try
        {
            job.OutputGradient = TensorMemory.At(aligned);
            job.Mean = state.Statistics;
            job.InverseDeviation = job.Mean + job.Rows;
            if (state.InputWanted) job.InputGradient = TensorMemory.At(gradients.Input = NewTensor.Like(saved.Input));
            if (state.WeightWanted) job.WeightGradient = parameters.WeightGradient(gradients.Weight = NewTensor.Like(saved.Weight));
            if (state.BiasWanted) job.BiasGradient = parameters.BiasGradient(gradients.Bias = NewTensor.Like(saved.Weight));
            Split(ref job, elements);
            if (state.AnyAffineWanted) job.Partial = partial = Scratch.Rent(4L * job.Blocks * job.Columns * (element == Element.Float64 ? 8 : 4));
            ref readonly var kernel = ref Of(element);
            Run(kernel.Backward, job, job.Blocks, elements);
            if (partial != null) Run(kernel.Merge, job, (job.Columns + RowNormMerge.Tile - 1) / RowNormMerge.Tile, 2L * job.Blocks * job.Columns);
            parameters.StoreGradients(gradients);
        }
        finally
        {
            if (partial != null) Scratch.Return(partial);
            LibTorch.Dispose(aligned);
        }
        if (extreme != 0) WideBackward.Replace(state, outputGradient, saved, ref gradients);
    }

    private static ref readonly RowNormKernel<Centre> Of(Element element) => ref Instances<RowNormKernel<Centre>>.Of(element, (int)KernelSelection.Width);

    private static void Run(delegate*<RowNormJob*, int, int, void> kernel, RowNormJob job, int items, long elements) =>
        ParallelTeam.Run((delegate*<void*, int, int, void>)kernel, &job, items, elements >= KernelSelection.ParallelNorm);

    // Depends only on the sizes, never on the number of threads, because the blocks determine the order of the sums.
    private static void Split(ref RowNormJob job, long elements)
    {
        long blocks = Math.Clamp(elements / BlockElements, 1, Math.Min(MostBlocks, Math.Max(1, job.Rows / LeastBlockRows)));
        job.BlockRows = (int)((job.Rows + blocks - 1) / blocks);
        job.Blocks = (job.Rows + job.BlockRows - 1) / job.BlockRows;
    }

    private static RowNormJob Describe(in Handles inputs, in ParameterMemory parameters, int columns, out Element element, out long elements)
    {
        element = TensorMemory.ElementOf(inputs.Input);
        elements = LibTorch.Numel(inputs.Input);
        return new()
        {
            Input = TensorMemory.At(inputs.Input),
            Weight = parameters.Weight != null ? parameters.Weight : Constants.Ones(element == Element.Float64, columns),
            Bias = parameters.Bias != null ? parameters.Bias : Constants.Zeros(element == Element.Float64, columns),
            Columns = columns,
            Rows = (int)(elements / columns),
            Stream = elements * TensorMemory.SizeOf(element) >= StreamBytes,
        };
    }
}

using TorchStab.Kernels;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Runs the kernels of batch normalization on tensors that <see cref="NormSelection.FormOfChannels"/> accepted: reads pointers, chooses the form that fits
/// the layout, splits the work into items, and runs them on the team.
/// </summary>
internal static unsafe class BatchNormLaunch<Relu> where Relu : struct, IFlag
{
    /// <summary>Number of statistics per channel, in the order of the state's memory: mean, variance, inverse deviation.</summary>
    private const int Statistics = 3;

    /// <summary>Normalizes with the batch's statistics, and stores them in the state.</summary>
    /// <returns>The output's handle; 0 if the values are too large or too small for a kernel. The statistics are correct in both cases.</returns>
    public static nint Train(NodeState state)
    {
        state.Reserve((long)Statistics * state.Middle);
        var inputs = state.Inputs;
        using var parameters = new ParameterMemory(inputs, state.Middle);
        var job = ChannelNormLaunch.Describe(state, inputs, parameters);
        job.Epsilon = state.Epsilon;
        int extreme = 0;
        job.Extreme = &extreme;
        nint output = Forward(inputs.Input, state.Layout, ref job);
        return extreme == 0 ? output : NewTensor.Discard(output);
    }

    /// <summary>Normalizes with given statistics.</summary>
    /// <returns>The output's handle; 0 if the values are too large or too small for a kernel.</returns>
    public static nint Evaluate(Tensor mean, Tensor variance, NodeState state)
    {
        ChannelStatistics.Fill(state.Reserve((long)Statistics * state.Middle), mean, variance, state.Epsilon);
        var inputs = state.Inputs;
        using var parameters = new ParameterMemory(inputs, state.Middle);
        var job = ChannelNormLaunch.Describe(state, inputs, parameters);
        job.HasStatistics = true;
        int extreme = 0;
        job.Extreme = &extreme;
        nint output = Forward(inputs.Input, state.Layout, ref job);
        return extreme == 0 ? output : NewTensor.Discard(output);
    }

    /// <summary>Computes the required gradients, in new tensors.</summary>
    public static void Backward(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients)
    {
        using var parameters = new ParameterMemory(saved, state.Middle);
        var job = ChannelNormLaunch.Describe(state, saved, parameters);
        job.HasStatistics = !state.Training;
        int extreme = 0;
        job.Extreme = &extreme;
        nint aligned = ChannelNormLaunch.InLayoutOf(state, saved.Input, outputGradient);
        try
        {
            ChannelNormLaunch.Allocate(state, saved, parameters, aligned, ref job, ref gradients);
            ref readonly var kernel = ref Of(TensorMemory.ElementOf(saved.Input));
            switch (ChannelNormLaunch.FormOf(job, state.Layout))
            {
                case ChannelForm.Rows:
                    BackwardRows(job, kernel);
                    break;
                case ChannelForm.Tiles:
                    ChannelNormLaunch.Run(kernel.BackwardTiles, job, ChannelNormLaunch.Tiles(job));
                    break;
                default:
                    ChannelNormLaunch.Run(kernel.Backward, job, job.Channels);
                    break;
            }
            parameters.StoreGradients(gradients);
        }
        finally
        {
            LibTorch.Dispose(aligned);
        }
        if (extreme != 0) WideBackward.Replace(state, outputGradient, saved, ref gradients);
    }

    private static nint Forward(nint input, NormLayout layout, ref ChannelNormJob job)
    {
        var element = TensorMemory.ElementOf(input);
        nint output = NewTensor.Like(input);
        job.Output = TensorMemory.At(output);
        job.Stream = ChannelNormLaunch.IsLarge(job, element, readOnce: job.HasStatistics);
        if (job.HasStatistics) HugePages.Populate(job.Output, job.Rows * job.Channels * TensorMemory.SizeOf(element)); // its threads write to distant addresses
        Forward(job, element, ChannelNormLaunch.FormOf(job, layout));
        return output;
    }

    private static void Forward(in ChannelNormJob job, Element element, ChannelForm form)
    {
        ref readonly var kernel = ref Of(element);
        if (form == ChannelForm.Rows) ForwardRows(job, kernel);
        else if (job.HasStatistics) ForwardGiven(job, element, kernel);
        else if (form == ChannelForm.Tiles) ChannelNormLaunch.Run(kernel.ForwardTiles, job, ChannelNormLaunch.Tiles(job));
        else ChannelNormLaunch.Run(kernel.Forward, job, job.Channels);
    }

    private static void ForwardGiven(ChannelNormJob job, Element element, in BatchNormKernel<Relu> kernel)
    {
        void* tables = job.Tables = Scratch.Rent(3L * job.Channels * sizeof(double));
        ChannelNormLaunch.Merge(kernel.Merge, job);
        ChannelNormLaunch.RunPlanes(kernel.GivenPlanes, job, element);
        Scratch.Return(tables);
    }

    private static void ForwardRows(ChannelNormJob job, in BatchNormKernel<Relu> kernel)
    {
        void* scratch = ChannelNormLaunch.RentRows(ref job, sumsPerChannel: job.HasStatistics ? 0 : 2);
        if (!job.HasStatistics) ChannelNormLaunch.Merge(kernel.Shift, job);
        if (!job.HasStatistics) ChannelNormLaunch.Run(kernel.Measure, job, job.Blocks);
        ChannelNormLaunch.Merge(kernel.Merge, job);
        ChannelNormLaunch.Run(kernel.Normalize, job, job.Blocks);
        Scratch.Return(scratch);
    }

    private static void BackwardRows(ChannelNormJob job, in BatchNormKernel<Relu> kernel)
    {
        bool sums = !job.HasStatistics || job.WeightGradient != null || job.BiasGradient != null;
        void* scratch = ChannelNormLaunch.RentRows(ref job, sumsPerChannel: sums ? 2 : 0);
        var tables = job;
        tables.HasStatistics = true; // the statistics are known: Merge must only fill the table
        ChannelNormLaunch.Merge(kernel.Merge, tables);
        if (sums) ChannelNormLaunch.Run(kernel.Sum, job, job.Blocks);
        ChannelNormLaunch.Merge(kernel.MergeSums, job);
        if (job.InputGradient != null) ChannelNormLaunch.Run(kernel.Differentiate, job, job.Blocks);
        Scratch.Return(scratch);
    }

    private static ref readonly BatchNormKernel<Relu> Of(Element element) => ref Instances<BatchNormKernel<Relu>>.Of(element, (int)KernelSelection.Width);
}

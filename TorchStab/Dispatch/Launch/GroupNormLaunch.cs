using TorchStab.Kernels;

namespace TorchStab.Dispatch;

/// <summary>Runs the kernels of GroupNorm and InstanceNorm on contiguous tensors that <see cref="NormSelection.FormOfGroups"/> accepted.</summary>
internal static unsafe class GroupNormLaunch
{
    /// <summary>Normalizes into a new tensor, and stores mean, variance and inverse deviation of each sample and group in the state.</summary>
    /// <returns>The output's handle; 0 if the values are too large or too small for a kernel.</returns>
    public static nint Forward(NodeState state)
    {
        state.Reserve(3L * state.StatisticsCount);
        var inputs = state.Inputs;
        using var parameters = new ParameterMemory(inputs, state.Middle);
        var job = ChannelNormLaunch.Describe(state, inputs, parameters);
        var element = TensorMemory.ElementOf(inputs.Input);
        nint output = NewTensor.Like(inputs.Input);
        job.Output = TensorMemory.At(output);
        job.Epsilon = state.Epsilon;
        int extreme = 0;
        job.Extreme = &extreme;
        job.Stream = ChannelNormLaunch.IsLarge(job, element);
        ChannelNormLaunch.Run(Of(element).Forward, job, job.Samples * job.Groups);
        return extreme == 0 ? output : NewTensor.Discard(output);
    }

    /// <summary>Computes the required gradients, in new tensors.</summary>
    public static void Backward(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients)
    {
        using var parameters = new ParameterMemory(saved, state.Middle);
        var job = ChannelNormLaunch.Describe(state, saved, parameters);
        var element = TensorMemory.ElementOf(saved.Input);
        nint contiguous = NewTensor.Contiguous(outputGradient);
        void* sums = Scratch.Rent(2L * sizeof(double) * job.Samples * job.Channels);
        int extreme = 0;
        job.Extreme = &extreme;
        try
        {
            ChannelNormLaunch.Allocate(state, saved, parameters, contiguous, ref job, ref gradients);
            job.Sums = (double*)sums;
            job.Blocks = job.Samples;
            ChannelNormLaunch.Run(Of(element).Backward, job, job.Samples * job.Groups);
            if (state.AnyAffineWanted) ChannelNormLaunch.Merge(Of(element).Merge, job);
            parameters.StoreGradients(gradients);
        }
        finally
        {
            Scratch.Return(sums);
            LibTorch.Dispose(contiguous);
        }
        if (extreme != 0) WideBackward.Replace(state, outputGradient, saved, ref gradients);
    }

    private static ref readonly GroupNormKernel Of(Element element) => ref Instances<GroupNormKernel>.Of(element, (int)KernelSelection.Width);
}

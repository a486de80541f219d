using TorchStab.Kernels;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Runs the kernels of GroupNorm and InstanceNorm on contiguous tensors that <see cref="KernelSelection.TakesGroups"/> has let through.
/// </summary>
internal static unsafe class GroupNormLaunch<TForward, TBackward>
    where TForward : struct, IKernel
    where TBackward : struct, IKernel
{
    /// <summary>Normalizes into a new tensor; mean, variance and inverse deviation of each sample and group are left in the state.</summary>
    /// <returns>The output's handle; 0 where the values are too large or too small for a kernel.</returns>
    public static nint Forward(Tensor input, Tensor? weight, Tensor? bias, NodeState state)
    {
        var saved = new Handles { Input = input.Handle, Weight = weight?.Handle ?? 0, Bias = bias?.Handle ?? 0 };
        state.Reserve(3L * state.Outer * state.Groups);
        var job = ChannelNorm.Describe(state, saved, state.Groups);
        var element = TensorMemory.ElementOf(input.Handle);
        nint output = NewTensor.Like(input.Handle);
        job.Output = TensorMemory.At(output);
        job.Epsilon = state.Epsilon;
        int extreme = 0;
        job.Extreme = &extreme;
        job.Stream = ChannelNorm.IsLarge(job, element);
        ChannelNorm.Run<TForward>(job, element, job.Samples * job.Groups);
        GC.KeepAlive(input);
        GC.KeepAlive(weight);
        GC.KeepAlive(bias);
        return extreme == 0 ? output : NewTensor.Discard(output);
    }

    /// <summary>The wanted gradients, in new tensors.</summary>
    public static void Backward(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients)
    {
        var job = ChannelNorm.Describe(state, saved, state.Groups);
        var element = TensorMemory.ElementOf(saved.Input);
        nint contiguous = NewTensor.Contiguous(outputGradient);
        void* sums = Scratch.Rent(2L * sizeof(double) * job.Samples * job.Channels);
        try
        {
            ChannelNorm.Allocate(state, saved, contiguous, ref job, ref gradients);
            job.Sums = (double*)sums;
            job.Blocks = job.Samples;
            ChannelNorm.Run<TBackward>(job, element, job.Samples * job.Groups);
            if (state.AnyAffineWanted) ChannelNorm.Merge<GroupNormKernel.Merge>(job, element);
        }
        finally
        {
            Scratch.Return(sums);
            LibTorch.Dispose(contiguous);
        }
    }
}

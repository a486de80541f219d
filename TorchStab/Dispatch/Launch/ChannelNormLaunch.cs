using TorchStab.Kernels;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>How the work of a norm over channels is divided: by planes, by tiles of small planes, or by rows of channels.</summary>
internal enum ChannelForm
{
    Planes,
    Tiles,
    Rows,
}

/// <summary>The parts that the launches of BatchNorm, GroupNorm and InstanceNorm share.</summary>
internal static unsafe class ChannelNormLaunch
{
    /// <summary>Planes of at most this many positions are processed as tiles of several channels, if there are at least this many samples.</summary>
    private const int SmallPlane = 64, ManySamples = 8;

    /// <summary>
    /// Outputs of at least this many bytes are stored with non-temporal stores. If x is read twice, they keep x in the caches for the second pass. If x is
    /// read once (given statistics), they pay only for outputs larger than the caches.
    /// </summary>
    private const long StreamBytes = 2L << 20, GivenStreamBytes = 16L << 20;

    /// <summary>
    /// channels_last: elements of a block of rows, the largest number of blocks, and the smallest number of rows that justifies sums of a block's own.
    /// </summary>
    private const long BlockElements = 16 * 1024;
    private const int MostBlocks = 64, LeastBlockRows = 96;

    /// <summary>
    /// The most items of one job, which a team counts in an int. Settable for tests, because a batch with more planes needs more memory than tests have.
    /// </summary>
    public static int MostItems { get; set; } = int.MaxValue;

    public static NormLayout LayoutOf(Tensor input) => LibTorch.IsContiguous(input.Handle) != 0 ? NormLayout.ChannelsFirst : NormLayout.ChannelsLast;

    public static ChannelForm FormOf(in ChannelNormJob job, NormLayout layout) =>
        layout == NormLayout.ChannelsLast || job.Positions == 1 ? ChannelForm.Rows
        : job.Positions <= SmallPlane && job.Samples >= ManySamples ? ChannelForm.Tiles
        : ChannelForm.Planes;

    public static int Tiles(in ChannelNormJob job)
    {
        int channels = Math.Max(1, BatchNormTile.Columns / job.Positions);
        return (job.Channels + channels - 1) / channels;
    }

    public static bool IsLarge(in ChannelNormJob job, Element element, bool readOnce = false) =>
        job.Rows * job.Channels * TensorMemory.SizeOf(element) >= (readOnce ? GivenStreamBytes : StreamBytes);

    /// <summary>Returns a job over the inputs of a call, or over the saved inputs.</summary>
    public static ChannelNormJob Describe(NodeState state, in Handles inputs, in ParameterMemory parameters)
    {
        int count = state.StatisticsCount;
        return new()
        {
            Samples = state.Outer,
            Channels = state.Middle,
            Positions = state.Inner,
            Groups = state.Groups,
            Rows = (long)state.Outer * state.Inner,
            Input = TensorMemory.At(inputs.Input),
            Weight = parameters.Weight,
            Bias = parameters.Bias,
            Mean = state.Statistics,
            Variance = state.Statistics + count,
            InverseDeviation = state.Statistics + (2L * count),
        };
    }

    /// <summary>Creates tensors for the required gradients. The bias's gradient has the shape of the weight, which exists if there is a bias.</summary>
    public static void Allocate(NodeState state, in Handles saved, in ParameterMemory parameters, nint outputGradient, ref ChannelNormJob job,
        ref Handles gradients)
    {
        job.OutputGradient = TensorMemory.At(outputGradient);
        if (state.InputWanted) job.InputGradient = TensorMemory.At(gradients.Input = NewTensor.Like(saved.Input));
        if (state.WeightWanted) job.WeightGradient = parameters.WeightGradient(gradients.Weight = NewTensor.Like(saved.Weight));
        if (state.BiasWanted) job.BiasGradient = parameters.BiasGradient(gradients.Bias = NewTensor.Like(saved.Weight));
        job.Stream = IsLarge(job, TensorMemory.ElementOf(saved.Input));
    }

    /// <summary>Returns a new handle to the gradient in the input's memory layout.</summary>
    public static nint InLayoutOf(NodeState state, nint input, nint gradient)
    {
        if (state.Layout == NormLayout.ChannelsFirst) return NewTensor.Contiguous(gradient);
        using var scope = NewDisposeScope();
        var (x, dy) = (Tensor.UnsafeCreateTensor(NewTensor.Plain(input)), Tensor.UnsafeCreateTensor(NewTensor.Plain(gradient)));
        var laid = MemoryLayout.IsDenseChannelsLast(dy) ? dy : MemoryLayout.Suggested(dy, x);
        return NewTensor.Plain(laid.Handle);
    }

    /// <summary>Runs a kernel of BatchNorm or GroupNorm.</summary>
    public static void Run(delegate*<ChannelNormJob*, int, int, void> kernel, ChannelNormJob job, int items) =>
        ParallelTeam.Run((delegate*<void*, int, int, void>)kernel, &job, items, job.Rows * job.Channels >= KernelSelection.ParallelNorm);

    /// <summary>
    /// Runs a kernel whose items are the planes of all samples. Its items read and write only the input, the output and values of their channel.
    /// </summary>
    public static void RunPlanes(delegate*<ChannelNormJob*, int, int, void> kernel, ChannelNormJob job, Element element)
    {
        int samples = job.Samples;
        long most = Math.Max(1, MostItems / job.Channels), bytes = (long)job.Channels * job.Positions * TensorMemory.SizeOf(element);
        for (long sample = 0; sample < samples; sample += most)
        {
            job.Samples = (int)Math.Min(most, samples - sample);
            Run(kernel, job, job.Samples * job.Channels);
            job.Input = (byte*)job.Input + (most * bytes);
            job.Output = (byte*)job.Output + (most * bytes);
        }
    }

    /// <summary>Runs a kernel whose items are groups of channels; it merges the sums of blocks.</summary>
    public static void Merge(delegate*<ChannelNormJob*, int, int, void> kernel, ChannelNormJob job) =>
        ParallelTeam.Run((delegate*<void*, int, int, void>)kernel, &job, (job.Channels + ChannelNormJob.MergeWidth - 1) / ChannelNormJob.MergeWidth,
            (long)job.Channels * job.Blocks >= KernelSelection.ParallelNorm);

    /// <summary>Divides the rows into blocks, which depend on the sizes and never on the number of threads, and rents memory for tables and sums.</summary>
    public static void* RentRows(ref ChannelNormJob job, int sumsPerChannel)
    {
        long blocks = Math.Clamp(job.Rows * job.Channels / BlockElements, 1, Math.Min(MostBlocks, Math.Max(1, job.Rows / LeastBlockRows)));
        job.BlockRows = (int)((job.Rows + blocks - 1) / blocks);
        job.Blocks = (int)((job.Rows + job.BlockRows - 1) / job.BlockRows);
        long tables = 6L * job.Channels, sums = (long)sumsPerChannel * job.Blocks * job.Channels;
        job.Tables = Scratch.Rent((tables + sums) * sizeof(double));
        job.Sums = sums == 0 ? null : (double*)job.Tables + tables;
        return job.Tables;
    }
}

using TorchStab.Kernels;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>How a norm over channels is split.</summary>
internal enum ChannelForm
{
    Planes,
    Tiles,
    Rows,
}

/// <summary>What the launches of BatchNorm, GroupNorm and InstanceNorm share.</summary>
internal static unsafe class ChannelNorm
{
    /// <summary>Planes of at most so many positions are taken together with their neighbours', given so many samples to sum over.</summary>
    private const int SmallPlane = 64, ManySamples = 8;

    /// <summary>
    /// Outputs from this many bytes on are stored past the caches: where x is read twice, so that it stays for the second pass; where it is read once
    /// (given statistics), only what would not stay in the caches itself.
    /// </summary>
    private const long StreamBytes = 2L << 20, GivenStreamBytes = 16L << 20;

    /// <summary>channels_last: elements of a block of rows, the most blocks, and the fewest rows that make up for a block's sums.</summary>
    private const long BlockElements = 16 * 1024;
    private const int MostBlocks = 64, LeastBlockRows = 96;

    /// <summary>A team counts its items in an int; settable for tests, because a batch of so many planes takes more memory than they have.</summary>
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

    /// <summary>A pass over the inputs of a call, or over what was saved of them.</summary>
    public static ChannelNormJob Describe(NodeState state, in Handles inputs)
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
            Weight = inputs.Weight != 0 ? TensorMemory.At(inputs.Weight) : null,
            Bias = inputs.Bias != 0 ? TensorMemory.At(inputs.Bias) : null,
            Mean = state.Statistics,
            Variance = state.Statistics + count,
            InverseDeviation = state.Statistics + (2L * count),
        };
    }

    /// <summary>New tensors for the wanted gradients. The bias' looks like the weight: there is no bias without one.</summary>
    public static void Allocate(NodeState state, in Handles saved, nint outputGradient, ref ChannelNormJob job, ref Handles gradients)
    {
        job.OutputGradient = TensorMemory.At(outputGradient);
        if (state.InputWanted) job.InputGradient = TensorMemory.At(gradients.Input = NewTensor.Like(saved.Input));
        if (state.WeightWanted) job.WeightGradient = TensorMemory.At(gradients.Weight = NewTensor.Like(saved.Weight));
        if (state.BiasWanted) job.BiasGradient = TensorMemory.At(gradients.Bias = NewTensor.Like(saved.Weight));
        job.Stream = IsLarge(job, TensorMemory.ElementOf(saved.Input));
    }

    /// <summary>A new handle to a gradient laid out as the input is.</summary>
    public static nint InLayoutOf(NodeState state, nint input, nint gradient)
    {
        if (state.Layout == NormLayout.ChannelsFirst) return NewTensor.Contiguous(gradient);
        using var scope = NewDisposeScope();
        var (x, dy) = (Tensor.UnsafeCreateTensor(NewTensor.Plain(input)), Tensor.UnsafeCreateTensor(NewTensor.Plain(gradient)));
        var laid = MemoryLayout.IsDenseChannelsLast(dy) ? dy : MemoryLayout.Suggested(dy, x);
        return NewTensor.Plain(laid.Handle);
    }

    public static void Run<K>(ChannelNormJob job, Element element, int items) where K : struct, IKernel =>
        ParallelTeam.Run(KernelTable<K>.Get(element, (int)KernelSelection.Width), &job, items, job.Rows * job.Channels >= KernelSelection.ParallelNorm);

    /// <summary>A pass over the planes of all samples, which read and write nothing but input, output and what belongs to a channel.</summary>
    public static void RunPlanes<K>(ChannelNormJob job, Element element) where K : struct, IKernel
    {
        int samples = job.Samples;
        long most = Math.Max(1, MostItems / job.Channels), bytes = (long)job.Channels * job.Positions * TensorMemory.SizeOf(element);
        for (long sample = 0; sample < samples; sample += most)
        {
            job.Samples = (int)Math.Min(most, samples - sample);
            Run<K>(job, element, job.Samples * job.Channels);
            job.Input = (byte*)job.Input + (most * bytes);
            job.Output = (byte*)job.Output + (most * bytes);
        }
    }

    /// <summary>A pass over groups of channels that merges blocks.</summary>
    public static void Merge<K>(ChannelNormJob job, Element element) where K : struct, IKernel =>
        ParallelTeam.Run(KernelTable<K>.Get(element, (int)KernelSelection.Width), &job,
            (job.Channels + BatchNormRowsKernel.MergeWidth - 1) / BatchNormRowsKernel.MergeWidth, (long)job.Channels * job.Blocks >= KernelSelection.ParallelNorm);

    /// <summary>Splits the rows by the sizes alone, never by the number of threads, and rents tables and sums for them.</summary>
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

using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>What one recorded call keeps for its backward pass besides its saved tensors: sizes, and statistics in memory of its own.</summary>
internal sealed unsafe class NodeState
{
    /// <summary>Statistics up to this many bytes are kept for the next call when a pooled node is returned.</summary>
    private const long KeptBytes = 64 * 1024;

    private long _capacity;

    ~NodeState() => NativeMemory.AlignedFree(Statistics);

    public NormOp Op { get; set; } = null!;

    /// <summary>The pooled node that this state belongs to for good; null under <see cref="FunctionPlug"/>.</summary>
    public PooledNode? Node { get; init; }

    /// <summary>Which inputs want a gradient.</summary>
    public bool InputWanted, WeightWanted, BiasWanted;

    public double Epsilon;

    /// <summary>Sizes in the op's own terms: rows and columns, or samples, channels and positions, and groups of channels.</summary>
    public int Outer, Middle, Inner, Groups;

    public NormLayout Layout;

    public bool Training;

    /// <summary>Whether there was a weight and a bias.</summary>
    public bool HasWeight, HasBias;

    /// <summary>LayerNorm's and RMSNorm's normalized_shape.</summary>
    public long[]? NormalizedShape;

    /// <summary>Means, and after them the inverse deviations.</summary>
    public double* Statistics { get; private set; }

    /// <summary>Whether a call on these inputs is to be recorded. Inference mode records nothing, even where gradients are enabled within it.</summary>
    public static bool IsWanted(Tensor input, Tensor? weight, Tensor? bias) =>
        is_grad_enabled() && (input.requires_grad || weight is { requires_grad: true } || bias is { requires_grad: true }) && !is_inference_mode_enabled();

    /// <summary>Notes the op and which of its inputs there are and want a gradient.</summary>
    public void Begin(NormOp op, Tensor input, Tensor? weight, Tensor? bias)
    {
        Op = op;
        (HasWeight, HasBias) = (weight is not null, bias is not null);
        (InputWanted, WeightWanted, BiasWanted) = (input.requires_grad, weight is { requires_grad: true }, bias is { requires_grad: true });
    }

    /// <summary>Notes samples, channels, positions and layout of an input (N, C, …).</summary>
    public void Sizes(Tensor input)
    {
        (Outer, Middle) = ((int)input.size(0), (int)input.size(1));
        Inner = (int)(LibTorch.Numel(input.Handle) / ((long)Outer * Middle));
        Layout = ChannelNorm.LayoutOf(input);
    }

    public bool AnyAffineWanted => WeightWanted || BiasWanted;

    /// <summary>Memory for so many doubles.</summary>
    public double* Reserve(long count)
    {
        long bytes = Math.Max(64, count * sizeof(double));
        if (bytes <= _capacity) return Statistics;
        Release();
        Statistics = (double*)NativeMemory.AlignedAlloc((nuint)bytes, 64);
        _capacity = bytes;
        return Statistics;
    }

    /// <summary>What an op without kernels remembers, in the same memory.</summary>
    public void Keep(ReadOnlySpan<double> values)
    {
        values.CopyTo(new(Reserve(values.Length), values.Length));
        KeptCount = values.Length;
    }

    /// <summary>What <see cref="Keep"/> was given.</summary>
    public ReadOnlySpan<double> Kept => new(Statistics, KeptCount);

    private int KeptCount { get; set; }

    /// <summary>Readies the state for another call: large statistics are given back, as a large activation would be.</summary>
    public void Recycle()
    {
        if (_capacity > KeptBytes) Release();
        Op = null!;
        NormalizedShape = null;
    }

    private void Release()
    {
        NativeMemory.AlignedFree(Statistics);
        Statistics = null;
        _capacity = 0;
    }
}

/// <summary>How the elements of a channel lie: in runs of positions, or one to each position of all channels.</summary>
internal enum NormLayout
{
    ChannelsFirst,
    ChannelsLast,
}

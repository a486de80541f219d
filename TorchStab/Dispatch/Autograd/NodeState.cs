using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// One call of an op, and what its backward pass needs besides the saved tensors: sizes, and statistics in native memory that the state owns.
/// <see cref="AutogradPlug.Begin"/> creates it, <see cref="Finish"/> adds the output to the graph, and the caller disposes it at the end of the call. Until
/// then the caller may read the statistics. Afterwards the graph owns the state, or, if nothing was recorded, the next call reuses it.
/// </summary>
internal sealed unsafe class NodeState(IAutogradPlug plug, PooledNode? node) : IDisposable
{
    /// <summary>A returned pooled node keeps its statistics memory for the next call up to this many bytes.</summary>
    private const long KeptBytes = 64 * 1024;

    private long _capacity;
    private Tensor? _input, _weight, _bias, _output;

    ~NodeState()
    {
        NativeMemory.AlignedFree(Statistics);
        Kept.Release();
    }

    public GraphOp Op { get; private set; } = null!;

    /// <summary>The pooled node that owns this state permanently; null under <see cref="FunctionPlug"/>.</summary>
    public PooledNode? Node => node;

    /// <summary>Whether the call is to be recorded.</summary>
    public bool IsWanted { get; private set; }

    /// <summary>Whether the graph owns the state. A plug sets it when the output is in the graph.</summary>
    public bool IsAttached { get; set; }

    /// <summary>Which inputs require a gradient.</summary>
    public bool InputWanted, WeightWanted, BiasWanted;

    public double Epsilon;

    /// <summary>
    /// Sizes whose meaning depends on the op. Norms over rows use only <c>Inner</c>, the number of columns. Norms over channels: samples, channels,
    /// positions, and groups of channels (0: one channel is one set of statistics).
    /// </summary>
    public int Outer, Middle, Inner, Groups;

    public NormLayout Layout;

    public bool Training;

    /// <summary>Whether libtorch's fused operations compute the call, and <see cref="Kept"/> has its statistics; otherwise a kernel does.</summary>
    public bool IsNative;

    /// <summary>What a native operation keeps for the backward pass, as tensors on the input's device.</summary>
    public KeptTensors Kept;

    /// <summary>Whether the call has a weight and a bias.</summary>
    public bool HasWeight, HasBias;

    /// <summary>LayerNorm's and RMSNorm's normalized_shape.</summary>
    public long[]? NormalizedShape;

    /// <summary>
    /// The statistics, in the kernels' order. Norms over channels: all means, then all biased variances, then all inverse deviations, one for each channel or
    /// for each sample and group. Norms over rows: all means, then all inverse deviations (RMSNorm leaves the means unset).
    /// </summary>
    public double* Statistics { get; private set; }

    /// <summary>The means of a norm over channels.</summary>
    public ReadOnlySpan<double> Means => new(Statistics, StatisticsCount);

    /// <summary>The biased variances of a norm over channels.</summary>
    public ReadOnlySpan<double> Variances => new(Statistics + StatisticsCount, StatisticsCount);

    /// <summary>The number of means: one for each channel, or one for each sample and group.</summary>
    public int StatisticsCount => Groups == 0 ? Middle : Outer * Groups;

    /// <summary>Handles of the call's inputs; valid until the state is disposed.</summary>
    public Handles Inputs => new() { Input = _input!.Handle, Weight = _weight?.Handle ?? 0, Bias = _bias?.Handle ?? 0 };

    /// <summary>Stores the op and its inputs. The state keeps the inputs reachable until it is disposed.</summary>
    /// <param name="op">The op.</param>
    /// <param name="input">Its input.</param>
    /// <param name="weight">Its weight; null for none.</param>
    /// <param name="bias">Its bias; null for none.</param>
    /// <param name="wanted">Which of the inputs require a gradient.</param>
    public void Begin(GraphOp op, Tensor input, Tensor? weight, Tensor? bias, (bool Input, bool Weight, bool Bias) wanted)
    {
        (Op, _input, _weight, _bias) = (op, input, weight, bias);
        (HasWeight, HasBias) = (weight is not null, bias is not null);
        (InputWanted, WeightWanted, BiasWanted) = wanted;
        Layout = NormLayout.ChannelsFirst;
        // Inference mode records nothing, even if gradients are enabled inside it.
        IsWanted = (wanted.Input || wanted.Weight || wanted.Bias) && is_grad_enabled() && !is_inference_mode_enabled();
    }

    /// <summary>
    /// Stores the numbers of samples, channels and positions of an input (N, C, …), its layout, and the number of groups; 0 (the default): each channel has
    /// its own statistics.
    /// </summary>
    public void Channels(int groups = 0)
    {
        (Outer, Middle, Groups) = ((int)_input!.size(0), (int)_input.size(1), groups);
        Inner = (int)(LibTorch.Numel(_input.Handle) / ((long)Outer * Middle));
        Layout = ChannelNormLaunch.LayoutOf(_input);
    }

    /// <summary>Takes ownership of the output's handle and returns the output as a tensor, which is in the graph if an input requires a gradient.</summary>
    /// <exception cref="InvalidOperationException">libtorch refuses to save an input. The output is released.</exception>
    public Tensor Finish(nint output) =>
        _output = IsWanted ? plug.Attach(this, _input!, _weight, _bias, output) : Tensor.UnsafeCreateTensor(output);

    /// <summary>Ends the call. Until here the state kept the output reachable, and so also the graph that may own the state.</summary>
    public void Dispose()
    {
        (_input, _weight, _bias, _output) = (null, null, null, null);
        if (!IsAttached) plug.Return(this);
    }

    public bool AnyAffineWanted => WeightWanted || BiasWanted;

    /// <summary>Returns uninitialized memory for <paramref name="count"/> doubles.</summary>
    public double* Reserve(long count)
    {
        long bytes = Math.Max(64, count * sizeof(double));
        if (bytes <= _capacity) return Statistics;
        Release();
        Statistics = (double*)NativeMemory.AlignedAlloc((nuint)bytes, 64);
        _capacity = bytes;
        return Statistics;
    }

    /// <summary>Stores the values that an op without kernels needs for its backward pass, in the same memory.</summary>
    public void Keep(ReadOnlySpan<double> values)
    {
        values.CopyTo(new(Reserve(values.Length), values.Length));
        SavedCount = values.Length;
    }

    /// <summary>The values stored by <see cref="Keep"/>.</summary>
    public ReadOnlySpan<double> SavedNumbers => new(Statistics, SavedCount);

    private int SavedCount { get; set; }

    /// <summary>Prepares the state for another call. Large statistics are freed, so that an idle node holds little memory.</summary>
    public void Recycle()
    {
        if (_capacity > KeptBytes) Release();
        Kept.Release();
        IsNative = false;
        Op = null!;
        NormalizedShape = null;
        IsAttached = false;
    }

    private void Release()
    {
        NativeMemory.AlignedFree(Statistics);
        Statistics = null;
        _capacity = 0;
    }
}

/// <summary>The memory layout of channels: all positions of a channel are contiguous, or all channels of a position are.</summary>
internal enum NormLayout
{
    ChannelsFirst,
    ChannelsLast,
}

using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// One call of an op on its way into the autograd graph, and what the call keeps for its backward pass besides its saved tensors: sizes, and statistics in
/// memory of its own. <see cref="AutogradPlug.Begin"/> makes it, <see cref="Finish"/> puts the output into the graph, and the caller disposes it at the end
/// of the call. Until then the statistics can be read; afterwards the state belongs to the graph, or to the next call where nothing was recorded.
/// </summary>
internal sealed unsafe class NodeState(IAutogradPlug plug, PooledNode? node) : IDisposable
{
    /// <summary>Statistics up to this many bytes are kept for the next call when a pooled node is returned.</summary>
    private const long KeptBytes = 64 * 1024;

    private long _capacity;
    private Tensor? _input, _weight, _bias, _output;

    ~NodeState() => NativeMemory.AlignedFree(Statistics);

    public NormOp Op { get; private set; } = null!;

    /// <summary>The pooled node that this state belongs to for good; null under <see cref="FunctionPlug"/>.</summary>
    public PooledNode? Node => node;

    /// <summary>Whether the call is to be recorded.</summary>
    public bool IsWanted { get; private set; }

    /// <summary>Whether the graph has taken the state over: a plug notes it once the output is in the graph.</summary>
    public bool IsAttached { get; set; }

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

    /// <summary>
    /// In the order of the kernels: for norms over channels the means, the biased variances and the inverse deviations of each channel, or of each sample
    /// and group; for norms over rows the means and the inverse deviations.
    /// </summary>
    public double* Statistics { get; private set; }

    /// <summary>The means of a norm over channels.</summary>
    public ReadOnlySpan<double> Means => new(Statistics, StatisticsCount);

    /// <summary>The biased variances of a norm over channels.</summary>
    public ReadOnlySpan<double> Variances => new(Statistics + StatisticsCount, StatisticsCount);

    /// <summary>How many means there are: one for each channel, or for each sample and group.</summary>
    public int StatisticsCount => Groups == 0 ? Middle : Outer * Groups;

    /// <summary>The inputs of the call, while it runs.</summary>
    public Handles Inputs => new() { Input = _input!.Handle, Weight = _weight?.Handle ?? 0, Bias = _bias?.Handle ?? 0 };

    /// <summary>Notes the op and its inputs, which the state keeps reachable until it is disposed.</summary>
    /// <param name="op">The op.</param>
    /// <param name="input">Its input.</param>
    /// <param name="weight">Its weight; null for none.</param>
    /// <param name="bias">Its bias; null for none.</param>
    /// <param name="wanted">Which of them want a gradient.</param>
    public void Begin(NormOp op, Tensor input, Tensor? weight, Tensor? bias, (bool Input, bool Weight, bool Bias) wanted)
    {
        (Op, _input, _weight, _bias) = (op, input, weight, bias);
        (HasWeight, HasBias) = (weight is not null, bias is not null);
        (InputWanted, WeightWanted, BiasWanted) = wanted;
        // Inference mode records nothing, even where gradients are enabled within it.
        IsWanted = (wanted.Input || wanted.Weight || wanted.Bias) && is_grad_enabled() && !is_inference_mode_enabled();
    }

    /// <summary>Notes samples, channels and positions of an input (N, C, …), its layout, and the groups that have statistics; 0 for whole channels.</summary>
    public void Channels(int groups = 0)
    {
        (Outer, Middle, Groups) = ((int)_input!.size(0), (int)_input.size(1), groups);
        Inner = (int)(LibTorch.Numel(_input.Handle) / ((long)Outer * Middle));
        Layout = ChannelNorm.LayoutOf(_input);
    }

    /// <summary>Makes a tensor of the output's handle, which is taken over; it is in the graph where a gradient is wanted.</summary>
    /// <exception cref="InvalidOperationException">libtorch refuses to save an input. The output is released.</exception>
    public Tensor Finish(nint output) =>
        _output = IsWanted ? plug.Attach(this, _input!, _weight, _bias, output) : Tensor.UnsafeCreateTensor(output);

    /// <summary>Ends the call. The output, if there is one, was kept reachable until here, and with it the graph that may own the state.</summary>
    public void Dispose()
    {
        (_input, _weight, _bias, _output) = (null, null, null, null);
        if (!IsAttached) plug.Return(this);
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
        IsAttached = false;
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

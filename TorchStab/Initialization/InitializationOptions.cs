using static TorchSharp.torch;

namespace TorchStab;

/// <summary>Options of <c>stab.nn.init.initialize_</c>. The defaults work for any model.</summary>
public sealed record InitializationOptions
{
    /// <summary>
    /// Rules that state which function follows which layer. A rule overrides what a run shows and what the order of modules suggests. Default: none; layers
    /// about which nothing is known get Xavier.
    /// </summary>
    /// <exception cref="ArgumentException">Null, or a rule that is null.</exception>
    public IReadOnlyList<InitializationRule> Rules
    {
        get;
        init => field = value is not null && !value.Contains(null!) ? value
            : throw new ArgumentException("expected rules, got null or null among them", nameof(Rules));
    } = [];

    /// <summary>
    /// An input as in training; one or two rows are enough. The model is run on it once, in evaluation mode and before anything is written, and hooks find
    /// the function that is applied to each layer's output, called as a module or not. Layers that a module runs by <c>forward</c> instead of <c>call</c>
    /// have no hooks; for them the order of modules counts. Default: null, no run.
    /// </summary>
    public Tensor? Example { get; init; }

    /// <summary>
    /// An action that runs the model once by <c>call</c>, instead of an <see cref="Example"/>, for a model of any signature. Default: null, no run.
    /// </summary>
    public Action? Run { get; init; }

    /// <summary>The distribution of the weights of linear layers and convolutions; the scheme gives the variance. Default: Normal.</summary>
    public InitDistribution Distribution { get; init; } = InitDistribution.Normal;

    /// <summary>The fan by which He initialization divides the variance. Default: FanIn.</summary>
    public FanMode Mode { get; init; } = FanMode.FanIn;

    /// <summary>
    /// The standard deviation σ of embeddings, N(0, σ²). Default: 1, as a lookup has one input; but 1/(2√width) in a model whose output layer is also an
    /// embedding, so that logits start small (GPT-2 uses 0.02). A value that is set here applies to all embeddings.
    /// </summary>
    public double EmbeddingStd
    {
        get => RequestedEmbeddingStd ?? 1;
        init => RequestedEmbeddingStd = value;
    }

    internal double? RequestedEmbeddingStd { get; private init; }

    /// <summary>Whether parameters with <c>requires_grad = false</c> (fixed kernels, frozen backbones) are initialized too. Default: false.</summary>
    public bool IncludeFrozen { get; init; }

    /// <summary>The bias of an LSTM's forget gate; a positive one makes the LSTM keep its state at the start. Default: 1 (Jozefowicz et al. 2015).</summary>
    public double ForgetBias { get; init; } = 1;

    /// <summary>
    /// Returns true for a residual block, given its name and module. The last normalization in the block gets weight 0, so that the block starts as the
    /// identity (Goyal et al. 2017); those in a child called downsample, shortcut or skip do not count. Default: null, no block.
    /// </summary>
    public Func<string, nn.Module, bool>? ResidualBlocks { get; init; }

    /// <summary>
    /// Returns true for a layer that adds to a residual stream, given its name and module. Its standard deviation is divided by
    /// √<see cref="ResidualCount"/>, so that the stream's variance does not grow with depth (GPT-2, Radford et al. 2019). Default: null, no layer.
    /// </summary>
    public Func<string, nn.Module, bool>? ResidualOutputs { get; init; }

    /// <summary>The number of layers that add to the residual stream. Default: null, the number for which <see cref="ResidualOutputs"/> is true.</summary>
    public long? ResidualCount { get; init; }
}

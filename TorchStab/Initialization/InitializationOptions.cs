using static TorchSharp.torch;

namespace TorchStab;

/// <summary>How <c>stab.nn.init.initialize_</c> treats a model; the defaults need no knowledge of it.</summary>
public sealed record InitializationOptions
{
    /// <summary>
    /// Which function follows which layer; a rule goes before what a run shows and what the order of modules lets one guess. Default: none, and
    /// layers of which nothing is known take Xavier.
    /// </summary>
    /// <exception cref="ArgumentException">Null, or a rule that is.</exception>
    public IReadOnlyList<InitializationRule> Rules
    {
        get;
        init => field = value is not null && !value.Contains(null!) ? value : throw new ArgumentException("expected rules, got null or null among them", nameof(Rules));
    } = [];

    /// <summary>
    /// An input as in training, of which one or two rows are enough. The model is run on it once, in evaluation mode and before anything is
    /// written, and hooks see which function takes each layer's output, called as a module or not. Layers that a module runs by <c>forward</c>
    /// instead of <c>call</c> fire no hook: the order of modules speaks for them. Default: null, no run.
    /// </summary>
    public Tensor? Example { get; init; }

    /// <summary>In place of <see cref="Example"/>, for a model of any signature: runs it once, by <c>call</c>. Default: null, no run.</summary>
    public Action? Run { get; init; }

    /// <summary>What weights of linear layers and convolutions are drawn from; the variance is the scheme's in each case. Default: Normal.</summary>
    public InitDistribution Distribution { get; init; } = InitDistribution.Normal;

    /// <summary>The fan that He initialization keeps the variance by. Default: FanIn.</summary>
    public FanMode Mode { get; init; } = FanMode.FanIn;

    /// <summary>
    /// The standard deviation of embeddings, N(0, σ²). Default: 1, as a lookup has one input; but 1/(2√width) in a model where an embedding
    /// is the output layer too, for logits that start small (GPT-2 takes 0.02). A value given here is taken for all.
    /// </summary>
    public double EmbeddingStd
    {
        get => EmbeddingStdAsked ?? 1;
        init => EmbeddingStdAsked = value;
    }

    internal double? EmbeddingStdAsked { get; private init; }

    /// <summary>Whether parameters with <c>requires_grad = false</c> are initialized too: fixed kernels, frozen backbones. Default: no.</summary>
    public bool IncludeFrozen { get; init; }

    /// <summary>The bias of an LSTM's forget gate, so that it starts by remembering. Default: 1 (Jozefowicz et al. 2015).</summary>
    public double ForgetBias { get; init; } = 1;

    /// <summary>
    /// Picks residual blocks by name and module. The last normalization in each gets weight 0, so that the block starts as the identity
    /// (Goyal et al. 2017); one in a child called downsample, shortcut or skip does not count. Default: null, none.
    /// </summary>
    public Func<string, nn.Module, bool>? ResidualBlocks { get; init; }

    /// <summary>
    /// Picks layers that write into a residual stream, by name and module. Their standard deviation is divided by √<see cref="ResidualCount"/>,
    /// so that the stream's variance does not grow with depth (GPT-2, Radford et al. 2019). Default: null, none.
    /// </summary>
    public Func<string, nn.Module, bool>? ResidualOutputs { get; init; }

    /// <summary>How many layers write into the residual stream. Default: null, as many as <see cref="ResidualOutputs"/> picks.</summary>
    public long? ResidualCount { get; init; }
}

using TorchSharp.Utils;
using TorchStab.Distributed;
using TorchStab.Normalization;
using TorchStab.Optimization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>
/// A model that several ranks train together, each on its part of every batch: all start from rank 0's parameters, and every step is taken
/// with the gradient of the whole batch, so that they stay the same bit for bit. As <c>torch.nn.parallel.DistributedDataParallel</c>.
/// </summary>
/// <remarks>
/// <para>The ranks' batches may have different sizes, and be empty: with nᵣ samples on rank r and N on all, the gradient that goes back into
/// the model is weighted by nᵣ/N, and the step sums, so that a loss that is a mean over the batch gives exactly the whole batch's gradient. In
/// between, <c>.grad</c> is this rank's part of it.</para>
/// <para>The sum is taken when an optimizer of <c>stab.optim</c> (<see cref="ClippedOptimizer"/> too) steps, before it looks at any gradient: clipping and
/// the check for NaN are about the whole batch's gradient, so every rank decides alike. For another optimizer, and before
/// <c>stab.nn.utils.clip_grad_norm_</c>, call <see cref="average_gradients"/>.</para>
/// <para>Every rank calls forward and backward for every step, with an empty batch where it has no data (<see cref="DistributedSampler.batches"/>), and
/// all use the same graph. In eval mode and under <c>no_grad</c> nothing is exchanged: one rank may evaluate alone.</para>
/// <para>The model may change between steps, on all ranks alike: layers frozen or unfrozen, exchanged, added or taken out, moved by <c>.to()</c>. The next
/// training pass notices and takes them in, with rank 0's parameters; ranks that differ in it are an error on all of them. (PyTorch's goes on with the
/// parameters it was given, so that ranks drift apart.) A model that is called directly has run when <see cref="weigh"/> notices: then new layers must have the
/// same values on all ranks already, or that is the error. New parameters go to the optimizer by <c>add_param_group</c>, as ever.</para>
/// <para>Ranks of one host sum float32 and float64 gradients where they lie, through memory that MPI lets them share, in any mode. Between hosts (and
/// where <c>TORCHSTAB_SHAREDMEMORY=off</c>) they are sent as messages; with <see cref="gradient_as_bucket_view"/> they lie in the messages from the first sum
/// on (those above a quarter of a message are summed where they lie in either mode). As long as they are cleared by <c>zero_grad(set_to_none: false)</c>,
/// of this module, the model or the optimizer, later sums copy nothing; the backward pass then adds to zeros where it would have handed its result over,
/// which costs about one such copy. After <c>zero_grad()</c>, to null, the next sum copies them there again, but not back. Whoever keeps a reference to
/// such a gradient sees the next step's values in it. float16 and bfloat16 are sent as float32, so their gradients are no views.</para>
/// </remarks>
public sealed class DistributedDataParallel : nn.Module<Tensor, Tensor>
{
    private const long BytesOfMegabyte = 1 << 20;

    [ComponentName(Name = nameof(module))]
    private readonly nn.Module _module;

    private readonly GradientSum _sum;

    internal DistributedDataParallel(nn.Module module, double bucket_cap_mb, bool broadcast_buffers, bool gradient_as_bucket_view)
        : base(nameof(DistributedDataParallel))
    {
        ArgumentNullException.ThrowIfNull(module);
        if (!(bucket_cap_mb > 0)) throw new ArgumentException($"expected a size above 0, got {Repr.Of(bucket_cap_mb)}", nameof(bucket_cap_mb));
        var group = ProcessGroups.Required;
        _module = module;
        (this.broadcast_buffers, this.gradient_as_bucket_view) = (broadcast_buffers, gradient_as_bucket_view);
        register_module(nameof(module), module);
        StartingPoint.Share(group, module);
        _sum = new GradientSum(group, module, (long)Math.Min(bucket_cap_mb * BytesOfMegabyte, int.MaxValue), gradient_as_bucket_view);
    }

    /// <summary>The model that was wrapped: save and load this one.</summary>
    public nn.Module module => _module;

    /// <summary>Whether rank 0's buffers (running statistics of a plain BatchNorm) become all ranks' before each training forward pass.</summary>
    public bool broadcast_buffers { get; }

    /// <summary>Whether gradients become views into the messages they are summed in, where there are messages.</summary>
    public bool gradient_as_bucket_view { get; }

    /// <summary>Steps that gradients were summed for.</summary>
    public long steps => _sum.Steps;

    /// <summary>Runs the model on this rank's part of the batch.</summary>
    /// <param name="input">Samples along the first dimension, any number of them.</param>
    /// <returns>The model's output.</returns>
    /// <exception cref="InvalidOperationException">
    /// The model is no <c>Module&lt;Tensor, Tensor&gt;</c> (then call it yourself, through <see cref="weigh"/>); or another rank does something else, which
    /// the message names.
    /// </exception>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (_module is not nn.Module<Tensor, Tensor> model)
            throw new InvalidOperationException($"{_module.GetName()} does not map one tensor to one: call it yourself, and weigh() its output or its loss before backward.");
        if (!training || !is_grad_enabled()) return model.call(input);
        double share = Begin(input.size(0), modelHasRun: false);
        using var output = model.call(input);
        return _sum.Weigh(output, share);
    }

    /// <summary>
    /// For a model that is called directly: this rank's part in the loss. Put a mean loss, or the output it is computed from, through it once in each
    /// training pass, on all ranks.
    /// </summary>
    /// <param name="output">The same values come out; their gradient is multiplied by this rank's share of the samples.</param>
    /// <param name="samples">What the loss is a mean over on this rank: samples, or tokens; 0 or more.</param>
    /// <returns>A new tensor.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="samples"/> is negative.</exception>
    /// <exception cref="InvalidOperationException">Another rank does something else.</exception>
    public Tensor weigh(Tensor output, long samples)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentOutOfRangeException.ThrowIfNegative(samples);
        return _sum.Weigh(output, Begin(samples, modelHasRun: true));
    }

    /// <summary>
    /// Puts the whole batch's gradient in the place of each rank's part, once for the backward passes since the last time; nothing if there were none, or
    /// inside <see cref="no_sync"/>. <c>stab.optim</c>'s optimizers do it by themselves. Clear the gradients before the next pass: what is a sum already
    /// would be summed again.
    /// </summary>
    /// <exception cref="InvalidOperationException">
    /// A gradient is sparse, not of a real dtype, or of another shape than its parameter; or another rank does something else. A gradient of another real
    /// dtype is converted to the parameter's first, so that all ranks step with the same bits.
    /// </exception>
    public void average_gradients() => _sum.Combine();

    /// <summary>
    /// Until the returned object is disposed, gradients stay this rank's own: passes accumulate, and the first step after it sums them all at once.
    /// Only sizes of batches are exchanged. A step inside would let the ranks drift apart.
    /// </summary>
    /// <returns>What ends it.</returns>
    public IDisposable no_sync() => _sum.Pause();

    /// <summary>Forgets the gradients, as an optimizer's <c>zero_grad</c> does.</summary>
    /// <param name="set_to_none">
    /// true (default): to null; the backward pass hands its results over, and the next sum copies them. false: to zero; the backward pass adds to them, and
    /// with <see cref="gradient_as_bucket_view"/> the sum copies nothing even where there are messages.
    /// </param>
    public override void zero_grad(bool set_to_none = true) => Gradients.Clear(parameters(), set_to_none);

    /// <summary>
    /// Asserts that all parameters and buffers are the same on all ranks, bit for bit.
    /// </summary>
    /// <exception cref="InvalidOperationException">They are not; raised on all ranks. The message names the first that differs and the rank.</exception>
    public void require_identical() => StartingPoint.RequireIdentical(_sum.Group, _module);

    /// <inheritdoc cref="AffineModule.load"/>
    public override nn.Module load(
        BinaryReader reader, bool strict = true, IList<string>? skip = null, Dictionary<string, bool>? loadedParameters = null) =>
        StateLoad.Read(this, reader, strict, skip, loadedParameters);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) _sum.Dispose();
        base.Dispose(disposing);
    }

    private double Begin(long samples, bool modelHasRun)
    {
        double share = _sum.Begin(samples, broadcast_buffers, modelHasRun);
        if (broadcast_buffers) StartingPoint.ShareBuffers(_sum.Group, _module);
        return share;
    }
}

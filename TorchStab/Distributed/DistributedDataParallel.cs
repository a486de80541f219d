using TorchSharp.Utils;
using TorchStab.Distributed;
using TorchStab.Initialization;
using TorchStab.Normalization;
using TorchStab.Optimization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>
/// A model that several ranks train together, each on its part of every batch. All ranks start from rank 0's parameters and take every step with the
/// gradient of the whole batch, so that their parameters stay equal bit for bit. As <c>torch.nn.parallel.DistributedDataParallel</c>.
/// </summary>
/// <remarks>
/// <para>The ranks' batches may have different sizes, and may be empty. With nᵣ samples on rank r and N on all ranks, the gradient of the output is
/// weighted by nᵣ/N and the step sums over the ranks, so that a loss that is a mean over the batch gives exactly the whole batch's gradient. Between
/// backward and the step, <c>.grad</c> is this rank's part of it.</para>
/// <para>An optimizer of <c>stab.optim</c> (<see cref="ClippedOptimizer"/> too) sums the gradients at the start of its step. Clipping and the check for NaN
/// then see the whole batch's gradient, so all ranks decide alike. For another optimizer, and before <c>stab.nn.utils.clip_grad_norm_</c>, call
/// <see cref="average_gradients"/>.</para>
/// <para>Every rank must call forward and backward for every step, with an empty batch if it has no data (<see cref="DistributedSampler.batches"/>), and
/// with the same graph. In eval mode and under <c>no_grad</c> the ranks exchange nothing, so that one rank may evaluate alone.</para>
/// <para>The model may change between steps in the same way on all ranks: layers may be frozen, unfrozen, replaced, added, removed, or moved by
/// <c>.to()</c>. The next training pass finds the changes and copies rank 0's parameters to all ranks; if the ranks' models differ, all ranks raise an
/// error. (PyTorch keeps the parameters that it was constructed with, so that ranks diverge.) If you call the model yourself, it has run before
/// <see cref="weigh"/> finds a change: then new layers must already have equal values on all ranks, else all ranks raise an error. Add new parameters to
/// the optimizer by <c>add_param_group</c>, as without this module.</para>
/// <para>A module that the model holds without having registered it is in nobody's <c>parameters()</c>, so that the ranks diverge in it; rank 0 warns of it by
/// <see cref="System.Diagnostics.Trace"/>.</para>
/// <para>Ranks of one host sum float32 and float64 gradients in place through memory that MPI lets them share. Between hosts (and with
/// <c>TORCHSTAB_SHAREDMEMORY=off</c>) they send messages. A gradient larger than a quarter of a message is summed in place; smaller ones are copied into a
/// message and back. With <see cref="gradient_as_bucket_view"/> the smaller ones become views of the message at the first sum. As long as
/// <c>zero_grad(set_to_none: false)</c> of this module, the model or the optimizer clears them, later sums copy nothing; the backward pass then adds to
/// zeros instead of storing its result directly, which costs about as much as one copy. After <c>zero_grad()</c>, which sets them to null, the next sum
/// copies them into the message, but not back. A reference to such a gradient that you keep shows the next step's values. float16 and bfloat16 gradients
/// are sent as float32 and are never views.</para>
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
        if (group.Rank == 0) UnregisteredModules.WarnOf(module);
        _module = module;
        (this.broadcast_buffers, this.gradient_as_bucket_view) = (broadcast_buffers, gradient_as_bucket_view);
        register_module(nameof(module), module);
        StartingPoint.Share(group, module);
        _sum = new GradientSum(group, module, (long)Math.Min(bucket_cap_mb * BytesOfMegabyte, int.MaxValue), gradient_as_bucket_view);
    }

    /// <summary>The wrapped model; save and load this one.</summary>
    public nn.Module module => _module;

    /// <summary>Whether rank 0's buffers (the running statistics of a BatchNorm) are copied to all ranks before each training pass.</summary>
    public bool broadcast_buffers { get; }

    /// <summary>Whether gradients that are sent as messages become views of the messages.</summary>
    public bool gradient_as_bucket_view { get; }

    /// <summary>The number of steps for which gradients were summed.</summary>
    public long steps => _sum.Steps;

    /// <summary>Runs the model on this rank's part of the batch.</summary>
    /// <param name="input">Shape (N, …), with any number N of samples, also 0.</param>
    /// <returns>The model's output.</returns>
    /// <exception cref="InvalidOperationException">
    /// The model is not a <c>Module&lt;Tensor, Tensor&gt;</c> (then call it yourself and use <see cref="weigh"/>); or another rank makes another call, which
    /// the message names.
    /// </exception>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (_module is not nn.Module<Tensor, Tensor> model)
            throw new InvalidOperationException(
                $"{_module.GetName()} does not map one tensor to one: call it yourself, and weigh() its output or its loss before backward.");
        if (!training || !is_grad_enabled()) return model.call(input);
        double share = Begin(input.size(0), modelHasRun: false);
        using var output = model.call(input);
        return _sum.Weigh(output, share);
    }

    /// <summary>
    /// Weights the gradient of a model that you call yourself by this rank's share of the samples. Apply it once in each training pass, on all ranks, to a
    /// loss that is a mean, or to the output from which the loss is computed.
    /// </summary>
    /// <param name="output">The loss or the output. The result has the same values; the gradient is multiplied by this rank's share of the samples.</param>
    /// <param name="samples">The number of samples, or tokens, that the loss is a mean over on this rank; 0 or more.</param>
    /// <returns>A new tensor.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="samples"/> is negative.</exception>
    /// <exception cref="InvalidOperationException">Another rank makes another call, which the message names.</exception>
    public Tensor weigh(Tensor output, long samples)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentOutOfRangeException.ThrowIfNegative(samples);
        return _sum.Weigh(output, Begin(samples, modelHasRun: true));
    }

    /// <summary>
    /// Replaces each rank's part of the gradients by their sum over the ranks, the whole batch's gradient, once after the backward passes of a step. Does
    /// nothing if there was no pass since the last call, or inside <see cref="no_sync"/>. Optimizers of <c>stab.optim</c> call it themselves. Clear the
    /// gradients before the next pass, or it sums the sums again.
    /// </summary>
    /// <exception cref="InvalidOperationException">
    /// A gradient is sparse, not of a real dtype, or of another shape than its parameter; or another rank makes another call. (A gradient of another real
    /// dtype is first converted to the parameter's, so that all ranks step with the same bits.)
    /// </exception>
    public void average_gradients() => _sum.Combine();

    /// <summary>
    /// Pauses the summing of gradients until the returned object is disposed: passes accumulate on each rank, and the first step afterwards sums all of
    /// them at once. The ranks exchange only the sizes of their batches. Do not step inside: the ranks would diverge.
    /// </summary>
    /// <returns>An object whose disposal ends the pause.</returns>
    public IDisposable no_sync() => _sum.Pause();

    /// <summary>Clears the gradients, as an optimizer's <c>zero_grad</c> does.</summary>
    /// <param name="set_to_none">
    /// true (the default) sets them to null: the backward pass stores its results directly, and the next sum copies them into messages. false sets them to
    /// zero: the backward pass adds to them, and with <see cref="gradient_as_bucket_view"/> the next sum copies nothing.
    /// </param>
    public override void zero_grad(bool set_to_none = true) => Gradients.Clear(parameters(), set_to_none);

    /// <summary>Asserts that all parameters and buffers are equal on all ranks, bit for bit.</summary>
    /// <exception cref="InvalidOperationException">
    /// They are not equal. All ranks raise it; the message names the first tensor that differs and its rank.
    /// </exception>
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

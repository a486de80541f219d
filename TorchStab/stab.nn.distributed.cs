using TorchStab.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace TorchStab;

public static partial class stab
{
    public static partial class nn
    {
        /// <summary>Batch normalization of (N, C, …) over the batches of all ranks. <inheritdoc cref="Modules.SyncBatchNorm" path="/summary/node()"/></summary>
        /// <param name="num_features">C, the number of channels.</param>
        /// <param name="eps">Added to the variance; default 1e-5.</param>
        /// <param name="momentum">The weight of a new batch in the running statistics; default 0.1. null weights all batches equally.</param>
        /// <param name="affine">Whether to learn a weight (at first 1) and a bias (at first 0), of shape (C); default true.</param>
        /// <param name="track_running_stats">
        /// Whether to keep running statistics; without them, the batch's statistics normalize in eval mode too. Default true.
        /// </param>
        /// <param name="process_group">The ranks that share statistics; null (the default): all ranks of <c>init_process_group</c>.</param>
        /// <param name="device">The device of parameters and buffers; null (the default): the default device.</param>
        /// <param name="dtype">The floating-point dtype of parameters and buffers; null (the default): the default dtype.</param>
        /// <returns>The module, in training mode.</returns>
        /// <exception cref="ArgumentException">num_features is negative, or dtype is not floating-point.</exception>
        /// <remarks><inheritdoc cref="Modules.SyncBatchNorm" path="/remarks/node()"/> <inheritdoc cref="BatchNorm" path="/remarks/node()"/></remarks>
        public static SyncBatchNorm SyncBatchNorm(long num_features, double eps = 1e-5, double? momentum = 0.1, bool affine = true,
            bool track_running_stats = true,
            ICollective? process_group = null, Device? device = null, ScalarType? dtype = null) =>
            new(new(num_features, eps, momentum, affine, track_running_stats, device, dtype), process_group);

        /// <summary>A model that several ranks train together. <inheritdoc cref="Modules.DistributedDataParallel" path="/summary/node()"/></summary>
        /// <param name="module">The model, the same on all ranks; it becomes the child "module" of the new module.</param>
        /// <param name="bucket_cap_mb">
        /// The size of a message of gradients in MiB, if the ranks do not share memory; default 25, as in PyTorch: between hosts the number of messages
        /// costs more than their size. Messages are sent after the backward pass, because TorchSharp has no hooks on gradients.
        /// </param>
        /// <param name="broadcast_buffers">Whether rank 0's buffers are copied to all ranks before each training pass; default true.</param>
        /// <param name="gradient_as_bucket_view">
        /// Whether small gradients that are sent as messages become views of the messages at the first sum. Later sums then copy nothing, as long as
        /// <c>zero_grad(set_to_none: false)</c> clears the gradients. Default false, as in PyTorch.
        /// </param>
        /// <returns>The module around the model; call it instead of the model.</returns>
        /// <exception cref="ArgumentException"><paramref name="bucket_cap_mb"/> is not above 0.</exception>
        /// <exception cref="InvalidOperationException">No process group; or the ranks have different models, and all of them raise it.</exception>
        public static DistributedDataParallel DistributedDataParallel(Module module, double bucket_cap_mb = 25, bool broadcast_buffers = true,
            bool gradient_as_bucket_view = false) =>
            new(module, bucket_cap_mb, broadcast_buffers, gradient_as_bucket_view);
    }
}

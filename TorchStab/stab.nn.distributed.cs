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
        /// <param name="momentum">The share of a new batch in the running statistics; default 0.1; null gives each batch the same share.</param>
        /// <param name="affine">Whether there are weight (ones) and bias (zeros), of shape (C); default true.</param>
        /// <param name="track_running_stats">Whether there are running statistics; without, every mode uses the batch's. Default true.</param>
        /// <param name="process_group">The ranks that share statistics; null: all ranks of <c>init_process_group</c>.</param>
        /// <param name="device">Where parameters and buffers are made; null is the default device.</param>
        /// <param name="dtype">Their floating-point dtype; null is the default dtype.</param>
        /// <returns>The module, in training mode.</returns>
        /// <exception cref="ArgumentException">num_features is negative, or dtype no floating-point one.</exception>
        /// <remarks><inheritdoc cref="Modules.SyncBatchNorm" path="/remarks/node()"/> <inheritdoc cref="BatchNorm" path="/remarks/node()"/></remarks>
        public static SyncBatchNorm SyncBatchNorm(long num_features, double eps = 1e-5, double? momentum = 0.1, bool affine = true, bool track_running_stats = true,
            ICollective? process_group = null, Device? device = null, ScalarType? dtype = null) =>
            new(num_features, eps, momentum, affine, track_running_stats, process_group, device, dtype);

        /// <summary>A model that several ranks train together. <inheritdoc cref="Modules.DistributedDataParallel" path="/summary/node()"/></summary>
        /// <param name="module">The model, the same on all ranks; belongs to the new module, as "module".</param>
        /// <param name="bucket_cap_mb">
        /// MiB of a message of gradients, where the ranks do not share memory; default 25, as PyTorch's: between hosts the number of messages costs more than
        /// their size. Nothing is sent before the backward pass is over, which would need hooks that TorchSharp has not.
        /// </param>
        /// <param name="broadcast_buffers">Whether rank 0's buffers become all ranks' before each training forward pass; default true.</param>
        /// <param name="gradient_as_bucket_view">
        /// Whether small gradients stay in the messages, where there are any: from the first sum on their <c>.grad</c> are views, and summing them again
        /// copies nothing as long as they are cleared by <c>zero_grad(set_to_none: false)</c>. Default false, as PyTorch's.
        /// </param>
        /// <returns>The module around the model; call it in the model's place.</returns>
        /// <exception cref="ArgumentException"><paramref name="bucket_cap_mb"/> is not above 0.</exception>
        /// <exception cref="InvalidOperationException">No process group, or another rank has another model: raised on all ranks.</exception>
        public static DistributedDataParallel DistributedDataParallel(Module module, double bucket_cap_mb = 25, bool broadcast_buffers = true,
            bool gradient_as_bucket_view = false) =>
            new(module, bucket_cap_mb, broadcast_buffers, gradient_as_bucket_view);
    }
}

namespace TorchStab;

public static partial class stab
{
    /// <summary>Functions for data, as in <c>torch.utils</c>.</summary>
    public static class utils
    {
        /// <summary>Samplers, as in <c>torch.utils.data</c>.</summary>
        public static class data
        {
            /// <summary>This rank's part of a data set. <inheritdoc cref="TorchStab.DistributedSampler" path="/summary/node()"/></summary>
            /// <param name="dataset_size">The number of items of the data set.</param>
            /// <param name="num_replicas">The number of ranks; null (the default): that of the process group.</param>
            /// <param name="rank">The rank whose part it is; null (the default): this rank.</param>
            /// <param name="shuffle">
            /// Whether each epoch has an order of its own: call <see cref="DistributedSampler.set_epoch"/> before it. Default true.
            /// </param>
            /// <param name="seed">The seed of that order, the same on all ranks; default 0.</param>
            /// <param name="drop_last">Whether the last items are left out if the number of ranks does not divide the number of items; default false.</param>
            /// <returns>The indices of this rank, in the order of epoch 0.</returns>
            /// <exception cref="ArgumentException">A negative size, fewer than one rank, or a rank that is none of them.</exception>
            /// <exception cref="InvalidOperationException">The ranks are those of the process group, and there is none.</exception>
            public static DistributedSampler DistributedSampler(long dataset_size, int? num_replicas = null, int? rank = null, bool shuffle = true,
                long seed = 0,
                bool drop_last = false) => new(dataset_size, num_replicas, rank, shuffle, seed, drop_last);
        }
    }
}

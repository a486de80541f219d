using System.Collections;
using TorchStab.Distributed;
using static TorchSharp.torch;

namespace TorchStab;

/// <summary>
/// This rank's part of a data set: of the epoch's order, every world-size-th index from its rank on. As
/// <c>torch.utils.data.DistributedSampler</c>, in the same order for the same seed, but without its padding: every index is on exactly one rank,
/// so the parts differ by one in length where the data do not divide. Also the <c>shuffler</c> of TorchSharp's <c>DataLoader</c>.
/// </summary>
public sealed class DistributedSampler : IEnumerable<long>
{
    private readonly long _size, _seed;
    private readonly int _replicas, _rank;
    private readonly bool _shuffle, _dropLast;
    private long _epoch;

    internal DistributedSampler(long dataset_size, int? num_replicas, int? rank, bool shuffle, long seed, bool drop_last)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(dataset_size);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(dataset_size, Array.MaxLength);
        int replicas = num_replicas ?? ProcessGroups.Required.WorldSize, own = rank ?? ProcessGroups.Required.Rank;
        ArgumentOutOfRangeException.ThrowIfLessThan(replicas, 1, nameof(num_replicas));
        if (own < 0 || own >= replicas) throw new ArgumentException($"Invalid rank {own}, rank should be in the interval [0, {replicas - 1}]", nameof(rank));
        (_size, _replicas, _rank, _shuffle, _seed, _dropLast) = (drop_last ? dataset_size / replicas * replicas : dataset_size, replicas, own, shuffle, seed, drop_last);
        DatasetSize = dataset_size;
    }

    /// <summary>How many indices this rank gets.</summary>
    public int Count => checked((int)((_size - _rank + _replicas - 1) / _replicas));

    private long DatasetSize { get; }

    /// <summary>Shuffles anew: the order is that of seed + epoch, on all ranks.</summary>
    /// <param name="epoch">The same on all ranks.</param>
    public void set_epoch(long epoch) => _epoch = epoch;

    /// <summary>This rank's indices, in the order of the epoch.</summary>
    /// <returns>Each of them once.</returns>
    public IEnumerator<long> GetEnumerator()
    {
        long[] order = Order();
        for (long i = _rank; i < _size; i += _replicas) yield return order[i];
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>
    /// This rank's part in batches, as many as every other rank has: the last may be shorter, or empty, and is to be trained on all the same.
    /// The k-th batches of all ranks together are the k-th batch of one process with batches of <paramref name="batch_size"/> · world size.
    /// </summary>
    /// <param name="batch_size">Of each rank, at least 1.</param>
    /// <returns>The indices of one batch after the other.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="batch_size"/> is below 1.</exception>
    public IEnumerable<long[]> batches(int batch_size)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(batch_size, 1);
        return Chunks(batch_size);
    }

    private IEnumerable<long[]> Chunks(int batchSize)
    {
        long[] own = [.. this];
        long most = (_size + _replicas - 1) / _replicas; // rank 0's, the longest
        for (long start = 0; start < most; start += batchSize) yield return [.. own.Skip((int)start).Take(batchSize)];
    }

    private long[] Order()
    {
        if (!_shuffle) return [.. Enumerable.Range(0, checked((int)_size)).Select(i => (long)i)];
        using var generator = new Generator((ulong)(_seed + _epoch), CPU);
        using var order = randperm(DatasetSize, device: CPU, generator: generator);
        return order.data<long>().ToArray();
    }
}

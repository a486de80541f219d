using System.Collections;
using TorchStab.Distributed;
using static TorchSharp.torch;

namespace TorchStab;

/// <summary>
/// This rank's part of a data set: the indices at positions rank, rank + world size, rank + 2 · world size, … of the epoch's order. As
/// <c>torch.utils.data.DistributedSampler</c>, in the same order for the same seed, but without padding: every index belongs to exactly one rank, so
/// the parts differ by one in length if the ranks do not divide the data set. It can also be the <c>shuffler</c> of TorchSharp's <c>DataLoader</c>.
/// </summary>
public sealed class DistributedSampler : IEnumerable<long>
{
    private readonly long _datasetSize, _size, _seed;
    private readonly int _replicas, _rank;
    private readonly bool _shuffle;
    private long _epoch;

    internal DistributedSampler(long dataset_size, int? num_replicas, int? rank, bool shuffle, long seed, bool drop_last)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(dataset_size);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(dataset_size, Array.MaxLength);
        int replicas = num_replicas ?? ProcessGroups.Required.WorldSize, own = rank ?? ProcessGroups.Required.Rank;
        ArgumentOutOfRangeException.ThrowIfLessThan(replicas, 1, nameof(num_replicas));
        if (own < 0 || own >= replicas) throw new ArgumentException($"Invalid rank {own}, rank should be in the interval [0, {replicas - 1}]", nameof(rank));
        _size = drop_last ? dataset_size / replicas * replicas : dataset_size;
        (_datasetSize, _replicas, _rank, _shuffle, _seed) = (dataset_size, replicas, own, shuffle, seed);
    }

    /// <summary>The number of indices of this rank.</summary>
    public int Count => checked((int)((_size - _rank + _replicas - 1) / _replicas));

    /// <summary>Sets the epoch, whose order is drawn from seed + epoch.</summary>
    /// <param name="epoch">The epoch, the same on all ranks.</param>
    public void set_epoch(long epoch) => _epoch = epoch;

    /// <summary>Enumerates this rank's indices in the order of the epoch.</summary>
    /// <returns>Each index once.</returns>
    public IEnumerator<long> GetEnumerator()
    {
        long[] order = Order();
        for (long i = _rank; i < _size; i += _replicas) yield return order[i];
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>
    /// This rank's indices in batches, as many as every other rank has. The last batch may be shorter or empty; train on it too. The k-th batches of all
    /// ranks together are the k-th batch of a single process with a batch size of <paramref name="batch_size"/> · world size.
    /// </summary>
    /// <param name="batch_size">The size of one rank's batch, at least 1.</param>
    /// <returns>The indices of each batch.</returns>
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
        using var order = randperm(_datasetSize, device: CPU, generator: generator);
        return order.data<long>().ToArray();
    }
}

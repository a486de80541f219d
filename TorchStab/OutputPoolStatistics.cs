namespace TorchStab;

/// <summary>What the pool of output memory holds, and how often it was of use (<see cref="Memory.OutputPoolStatistics"/>).</summary>
public readonly record struct OutputPoolStatistics
{
    /// <summary>Bytes of all blocks: in use by tensors, or kept for the next ones.</summary>
    public long BytesHeld { get; init; }

    /// <summary>
    /// Bytes of the blocks that tensors use. The difference to <see cref="BytesHeld"/> is what <see cref="Memory.EmptyOutputPool"/> gives back.
    /// </summary>
    public long BytesInUse { get; init; }

    /// <summary>How many outputs and gradients got memory that was kept, since the process started.</summary>
    public long Hits { get; init; }

    /// <summary>For how many new memory was allocated, since the process started.</summary>
    public long Misses { get; init; }
}

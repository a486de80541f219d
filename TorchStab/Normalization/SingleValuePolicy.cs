namespace TorchStab;

/// <summary>What a batch normalization does in training when a channel holds one value only, whose variance says nothing.</summary>
public enum SingleValuePolicy
{
    /// <summary>An error in PyTorch's words: "Expected more than 1 value per channel when training".</summary>
    Throw,

    /// <summary>
    /// That batch is normalized with the running statistics, as in eval mode, and does not change them. Without running
    /// statistics it is an error all the same.
    /// </summary>
    UseRunningStatistics,
}

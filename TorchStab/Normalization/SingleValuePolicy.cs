namespace TorchStab;

/// <summary>What batch normalization does in training mode when a channel has only one value, whose variance is always 0.</summary>
public enum SingleValuePolicy
{
    /// <summary>Throws PyTorch's error: "Expected more than 1 value per channel when training".</summary>
    Throw,

    /// <summary>
    /// Normalizes that batch with the running statistics, as in eval mode, and does not update them. Without running
    /// statistics it throws too.
    /// </summary>
    UseRunningStatistics,
}

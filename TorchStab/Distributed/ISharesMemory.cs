using TorchStab.Dispatch;

namespace TorchStab.Distributed;

/// <summary>An engine whose ranks may share memory.</summary>
internal interface ISharesMemory
{
    /// <summary>Sums through it; null where they do not. The same on all ranks.</summary>
    SharedSum? SharedSum { get; }
}

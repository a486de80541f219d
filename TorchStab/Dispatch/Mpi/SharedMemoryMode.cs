namespace TorchStab.Dispatch;

/// <summary>Whether ranks of one host sum through shared memory: <c>Auto</c> wherever all can, <c>Off</c> leaves it to <c>MPI_Allreduce</c>.</summary>
internal enum SharedMemoryMode
{
    Auto,
    Off,
}

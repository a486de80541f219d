namespace TorchStab.Dispatch;

/// <summary>Whether ranks on one host sum through shared memory: <c>Auto</c> if all ranks can, <c>Off</c> uses <c>MPI_Allreduce</c>.</summary>
internal enum SharedMemoryMode
{
    Auto,
    Off,
}

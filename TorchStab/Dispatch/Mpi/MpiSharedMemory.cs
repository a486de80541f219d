namespace TorchStab.Dispatch;

/// <summary>
/// Memory that all ranks of a job on one host share, by MPI 3 (<c>MPI_Win_allocate_shared</c>). Setting <c>TorchStab.SharedMemory</c> = auto | off. If one
/// rank has it off, or the ranks run on several hosts, no rank uses shared memory.
/// </summary>
internal sealed unsafe class MpiSharedMemory
{
    private readonly nint _window, _host;

    private MpiSharedMemory(nint window, nint host, nint[] parts) => (_window, _host, Parts) = (window, host, parts);

    /// <summary>The address of each rank's part.</summary>
    public nint[] Parts { get; }

    /// <summary>Allocates the memory; null if a rank cannot share memory or has it switched off. All ranks must call it together.</summary>
    public static MpiSharedMemory? Create(int rank, int ranks, long bytes)
    {
        bool wanted = !Setting.Refuse() && MpiLibrary.CanShare && LibTorch.IsAvailable
            && Setting.Read("SharedMemory", SharedMemoryMode.Auto) == SharedMemoryMode.Auto;
        if (ranks == 1 || !OnAll(wanted)) return null;
        nint host, window = 0;
        MpiMessages.Check(MpiLibrary.SplitType(MpiLibrary.World, MpiLibrary.SharedType, rank, MpiLibrary.NoInfo, &host), "MPI_Comm_split_type");
        nint[] parts = new nint[ranks];
        if (OnAll(IsWhole(host, ranks)) && OnAll(TryAllocate(host, parts, bytes, &window))) return new(window, host, parts);
        MpiMessages.Check(MpiLibrary.FreeCommunicator(&host), "MPI_Comm_free");
        return null;
    }

    /// <summary>Frees the memory. All ranks must call it together.</summary>
    public void Free()
    {
        nint window = _window, host = _host;
        MpiMessages.Check(MpiLibrary.FreeWindow(&window), "MPI_Win_free");
        MpiMessages.Check(MpiLibrary.FreeCommunicator(&host), "MPI_Comm_free");
    }

    private static bool OnAll(bool here) => MpiMessages.Lowest(here ? 1 : 0) == 1;

    private static bool IsWhole(nint host, int ranks)
    {
        int size;
        MpiMessages.Check(MpiLibrary.Size(host, &size), "MPI_Comm_size");
        return size == ranks;
    }

    private static bool TryAllocate(nint host, nint[] parts, long bytes, nint* window)
    {
        nint address, size;
        int unit;
        if (MpiLibrary.AllocateShared((nint)bytes, 1, MpiLibrary.NoInfo, host, &address, window) != 0) return false;
        for (int rank = 0; rank < parts.Length; rank++)
        {
            if (MpiLibrary.QueryShared(*window, rank, &size, &unit, &address) != 0) return false;
            parts[rank] = address;
        }
        return true;
    }
}

/// <summary>Whether ranks on one host sum through shared memory: <c>Auto</c> if all ranks can, <c>Off</c> uses <c>MPI_Allreduce</c>.</summary>
internal enum SharedMemoryMode
{
    Auto,
    Off,
}

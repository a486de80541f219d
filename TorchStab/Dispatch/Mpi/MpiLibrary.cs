using System.Runtime.InteropServices;

namespace TorchStab.Dispatch;

/// <summary>
/// The C functions and handles of Open MPI's libmpi, loaded by name at first use. The handles are addresses of exported objects (<c>ompi_mpi_comm_world</c>),
/// which other MPI implementations do not have.
/// </summary>
internal static unsafe class MpiLibrary
{
    /// <summary>MPI_IN_PLACE in Open MPI.</summary>
    public const nint InPlace = 1;

    /// <summary>MPI_THREAD_SERIALIZED: any thread may call MPI, one at a time.</summary>
    public const int Serialized = 2;

    /// <summary>The library names of Open MPI 4 and 5, without and with the development package.</summary>
    private static readonly string[] Names = OperatingSystem.IsMacOS() ? ["libmpi.40.dylib", "libmpi.dylib"] : ["libmpi.so.40", "libmpi.so"];

    private static readonly nint Library = Load();

    public static readonly nint World = Export("ompi_mpi_comm_world"), ErrorsReturn = Export("ompi_mpi_errors_return");

    public static readonly nint Byte = Export("ompi_mpi_byte"), Float = Export("ompi_mpi_float"), Double = Export("ompi_mpi_double"),
        Int32 = Export("ompi_mpi_int32_t"), Int64 = Export("ompi_mpi_int64_t");

    public static readonly nint Sum = Export("ompi_mpi_op_sum"), Product = Export("ompi_mpi_op_prod"),
        Min = Export("ompi_mpi_op_min"), Max = Export("ompi_mpi_op_max");

    public static readonly delegate* unmanaged<int*, int> Initialized = (delegate* unmanaged<int*, int>)Export("MPI_Initialized");

    public static readonly delegate* unmanaged<int*, int> Finalized = (delegate* unmanaged<int*, int>)Export("MPI_Finalized");

    /// <summary>(argc, argv, level wanted, level got)</summary>
    public static readonly delegate* unmanaged<nint, nint, int, int*, int> InitThread =
        (delegate* unmanaged<nint, nint, int, int*, int>)Export("MPI_Init_thread");

    public static readonly delegate* unmanaged<int> Finish = (delegate* unmanaged<int>)Export("MPI_Finalize");

    /// <summary>(communicator, handler)</summary>
    public static readonly delegate* unmanaged<nint, nint, int> SetErrorHandler = (delegate* unmanaged<nint, nint, int>)Export("MPI_Comm_set_errhandler");

    public static readonly delegate* unmanaged<nint, int*, int> Rank = (delegate* unmanaged<nint, int*, int>)Export("MPI_Comm_rank");

    public static readonly delegate* unmanaged<nint, int*, int> Size = (delegate* unmanaged<nint, int*, int>)Export("MPI_Comm_size");

    /// <summary>(send, receive, count, type, operation, communicator)</summary>
    public static readonly delegate* unmanaged<nint, nint, int, nint, nint, nint, int> AllReduce =
        (delegate* unmanaged<nint, nint, int, nint, nint, nint, int>)Export("MPI_Allreduce");

    /// <summary>(buffer, count, type, root, communicator)</summary>
    public static readonly delegate* unmanaged<nint, int, nint, int, nint, int> Broadcast =
        (delegate* unmanaged<nint, int, nint, int, nint, int>)Export("MPI_Bcast");

    /// <summary>(send, count, type, receive, count, type, communicator)</summary>
    public static readonly delegate* unmanaged<nint, int, nint, nint, int, nint, nint, int> AllGather =
        (delegate* unmanaged<nint, int, nint, nint, int, nint, nint, int>)Export("MPI_Allgather");

    public static readonly delegate* unmanaged<nint, int> Barrier = (delegate* unmanaged<nint, int>)Export("MPI_Barrier");

    /// <summary>(communicator, exit code)</summary>
    public static readonly delegate* unmanaged<nint, int, int> Abort = (delegate* unmanaged<nint, int, int>)Export("MPI_Abort");

    /// <summary>MPI_COMM_TYPE_SHARED in Open MPI: the ranks that can share memory.</summary>
    public const int SharedType = 0;

    public static readonly nint NoInfo = Export("ompi_mpi_info_null");

    /// <summary>(communicator, type, key, info, new communicator)</summary>
    public static readonly delegate* unmanaged<nint, int, int, nint, nint*, int> SplitType =
        (delegate* unmanaged<nint, int, int, nint, nint*, int>)Export("MPI_Comm_split_type");

    /// <summary>(communicator)</summary>
    public static readonly delegate* unmanaged<nint*, int> FreeCommunicator = (delegate* unmanaged<nint*, int>)Export("MPI_Comm_free");

    /// <summary>(bytes of this rank, unit, info, communicator, address, window)</summary>
    public static readonly delegate* unmanaged<nint, int, nint, nint, nint*, nint*, int> AllocateShared =
        (delegate* unmanaged<nint, int, nint, nint, nint*, nint*, int>)Export("MPI_Win_allocate_shared");

    /// <summary>(window, rank, bytes, unit, address)</summary>
    public static readonly delegate* unmanaged<nint, int, nint*, int*, nint*, int> QueryShared =
        (delegate* unmanaged<nint, int, nint*, int*, nint*, int>)Export("MPI_Win_shared_query");

    /// <summary>(window)</summary>
    public static readonly delegate* unmanaged<nint*, int> FreeWindow = (delegate* unmanaged<nint*, int>)Export("MPI_Win_free");

    /// <summary>(code, text, length)</summary>
    public static readonly delegate* unmanaged<int, byte*, int*, int> ErrorString = (delegate* unmanaged<int, byte*, int*, int>)Export("MPI_Error_string");

    /// <summary>Whether the library has the functions of MPI 3's shared memory, which are optional.</summary>
    public static bool CanShare { get; } = NoInfo != 0 && SplitType != null && FreeCommunicator != null && AllocateShared != null
        && QueryShared != null && FreeWindow != null;

    /// <summary>The reason why the library cannot be used, as an error message; null if it can.</summary>
    public static string? Problem { get; } = FindProblem();

    private static string? FindProblem()
    {
        if (Library == 0)
            return $"libmpi was not found (tried {string.Join(", ", Candidates())}). " +
                "Install Open MPI 4 or 5: apt-get install openmpi-bin, dnf install openmpi, " +
                "brew install open-mpi; or name the file in the environment variable TORCHSTAB_MPI.";
        nint[] needed = [World, ErrorsReturn, Byte, Float, Double, Int32, Int64, Sum, Product, Min, Max, (nint)Initialized,
            (nint)Finalized, (nint)InitThread, (nint)Finish, (nint)SetErrorHandler,
            (nint)Rank, (nint)Size, (nint)AllReduce, (nint)Broadcast, (nint)AllGather, (nint)Barrier, (nint)Abort, (nint)ErrorString];
        return !needed.Contains(0) ? null
            : "the libmpi that was found is not Open MPI (ompi_mpi_comm_world and its like are missing). Install Open MPI 4 or 5 " +
                "(apt-get install openmpi-bin), start the program with its mpirun, or name its libmpi in the environment variable TORCHSTAB_MPI.";
    }

    private static string[] Candidates() => Setting.Read("Mpi") is { Length: > 0 } path ? [path] : Names;

    private static nint Load()
    {
        foreach (string name in Candidates())
            if (NativeLibrary.TryLoad(name, out nint library)) return library;
        return 0;
    }

    private static nint Export(string name) => Library != 0 && NativeLibrary.TryGetExport(Library, name, out nint address) ? address : 0;
}

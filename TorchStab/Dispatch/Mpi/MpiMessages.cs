using System.Text;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Sends tensors as MPI messages between all ranks of the job. Tensors must be contiguous, on the CPU and, for sums, of a dtype that MPI can add.
/// </summary>
internal static unsafe class MpiMessages
{
    /// <summary>The most elements of one message: MPI counts them in an int.</summary>
    private const long MostAtOnce = 1 << 30;

    private const int LongestError = 4096;

    /// <summary>Starts MPI. Later errors are returned as codes, so that an exception can explain them; by default MPI ends the job.</summary>
    /// <returns>Whether any thread may call MPI, one at a time; if false, only this thread may.</returns>
    public static bool Start()
    {
        int provided;
        Check(MpiLibrary.InitThread(0, 0, MpiLibrary.Serialized, &provided), "MPI_Init_thread");
        Check(MpiLibrary.SetErrorHandler(MpiLibrary.World, MpiLibrary.ErrorsReturn), "MPI_Comm_set_errhandler");
        return provided >= MpiLibrary.Serialized;
    }

    public static bool IsStarted()
    {
        int flag;
        Check(MpiLibrary.Initialized(&flag), "MPI_Initialized");
        return flag != 0;
    }

    public static bool IsFinished()
    {
        int flag;
        Check(MpiLibrary.Finalized(&flag), "MPI_Finalized");
        return flag != 0;
    }

    public static void Finish() => Check(MpiLibrary.Finish(), "MPI_Finalize");

    public static (int Rank, int Size) Place()
    {
        int rank, size;
        Check(MpiLibrary.Rank(MpiLibrary.World, &rank), "MPI_Comm_rank");
        Check(MpiLibrary.Size(MpiLibrary.World, &size), "MPI_Comm_size");
        return (rank, size);
    }

    /// <summary>Returns the smallest of the ranks' numbers.</summary>
    public static int Lowest(int number)
    {
        Check(MpiLibrary.AllReduce(MpiLibrary.InPlace, (nint)(&number), 1, MpiLibrary.Int32, MpiLibrary.Min, MpiLibrary.World), "MPI_Allreduce");
        return number;
    }

    public static void AllReduce(Tensor tensor, ReduceOp op)
    {
        long count = tensor.numel(), size = tensor.element_size();
        nint data = (nint)TensorMemory.Pointer<byte>(tensor);
        for (long done = 0; done < count; done += MostAtOnce)
            Check(MpiLibrary.AllReduce(MpiLibrary.InPlace, data + (nint)(done * size), (int)Math.Min(count - done, MostAtOnce), TypeOf(tensor.dtype),
                Operation(op), MpiLibrary.World), "MPI_Allreduce");
        TensorMemory.MarkWritten(tensor);
        GC.KeepAlive(tensor);
    }

    public static void Broadcast(Tensor tensor, int src)
    {
        long bytes = tensor.numel() * tensor.element_size();
        nint data = (nint)TensorMemory.Pointer<byte>(tensor);
        for (long done = 0; done < bytes; done += MostAtOnce)
            Check(MpiLibrary.Broadcast(data + (nint)done, (int)Math.Min(bytes - done, MostAtOnce), MpiLibrary.Byte, src, MpiLibrary.World), "MPI_Bcast");
        TensorMemory.MarkWritten(tensor);
        GC.KeepAlive(tensor);
    }

    public static void AllGather(Tensor output, Tensor input)
    {
        int bytes = checked((int)(input.numel() * input.element_size()));
        nint from = (nint)TensorMemory.Pointer<byte>(input), to = (nint)TensorMemory.Pointer<byte>(output);
        Check(MpiLibrary.AllGather(from, bytes, MpiLibrary.Byte, to, bytes, MpiLibrary.Byte, MpiLibrary.World), "MPI_Allgather");
        GC.KeepAlive(input);
        GC.KeepAlive(output);
    }

    public static void Barrier() => Check(MpiLibrary.Barrier(MpiLibrary.World), "MPI_Barrier");

    /// <summary>Ends every rank; does not return.</summary>
    public static void Abort(int exitCode) => _ = MpiLibrary.Abort(MpiLibrary.World, exitCode);

    private static nint TypeOf(ScalarType dtype) => dtype switch
    {
        ScalarType.Float32 => MpiLibrary.Float,
        ScalarType.Float64 => MpiLibrary.Double,
        ScalarType.Int32 => MpiLibrary.Int32,
        _ => MpiLibrary.Int64,
    };

    private static nint Operation(ReduceOp op) => op switch
    {
        ReduceOp.Product => MpiLibrary.Product,
        ReduceOp.Min => MpiLibrary.Min,
        ReduceOp.Max => MpiLibrary.Max,
        _ => MpiLibrary.Sum,
    };

    /// <summary>Throws if the code is an error.</summary>
    public static void Check(int code, string call)
    {
        if (code == 0) return;
        byte* text = stackalloc byte[LongestError];
        int length;
        string words = MpiLibrary.ErrorString(code, text, &length) == 0 ? Encoding.UTF8.GetString(text, length) : $"code {code}";
        throw new InvalidOperationException($"{call} failed: {words}. A rank has ended, or the ranks made different calls.");
    }
}

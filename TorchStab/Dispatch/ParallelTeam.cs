using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace TorchStab.Dispatch;

/// <summary>Who runs the parts of a job.</summary>
internal enum TeamKind
{
    OpenMP,
    ThreadPool,
    Serial,
}

/// <summary>
/// Runs a job over fixed items (rows, channels, chunks) on as many threads as <c>torch.set_num_threads</c> allows. The body gets the
/// context and a range [first, last) of items; which thread gets which range is not said, so a result that needs merging goes
/// into one slot per item and is merged in item order afterwards: then it is the same for any number of threads.
/// <code>
/// var job = new Job { X = x, Y = y };                      // a struct of pointers and numbers on the caller's stack
/// ParallelTeam.Run(&amp;Rows, &amp;job, rows, parallel: elements >= KernelSelection.ParallelNorm);
/// static void Rows(void* context, int first, int last) { var job = (Job*)context; … }
/// </code>
/// An exception of the body is carried over the join and thrown to the caller; it never reaches a native frame. No allocation.
/// </summary>
/// <remarks>
/// Parts run on libtorch's own OpenMP team where one is loaded (<see cref="OpenMPTeam"/>): its workers spin for milliseconds after
/// each libtorch operation, and threads of our own would fight them for the cores. Elsewhere see <see cref="ThreadPoolTeam"/>.
/// </remarks>
internal static unsafe class ParallelTeam
{
    /// <summary>
    /// Settable for tests; setting <c>TorchStab.Threads</c> = openmp | threadpool | serial. Not OpenMP where its threads have too small a stack.
    /// </summary>
    public static TeamKind Kind { get; set; } = OpenMPTeam.IsAvailable ? Setting.Read("Threads", TeamKind.OpenMP)
        : Setting.Read("Threads", TeamKind.ThreadPool) == TeamKind.Serial ? TeamKind.Serial : TeamKind.ThreadPool;

    public static void Run(delegate*<void*, int, int, void> body, void* context, int items, bool parallel = true)
    {
        if (items <= 0) return;
        int threads = parallel && items > 1 && Kind != TeamKind.Serial ? Math.Min(items, LibTorch.ThreadCount()) : 1;
        if (threads <= 1) body(context, 0, items);
        else if (Kind == TeamKind.OpenMP) OpenMPTeam.Run(body, context, items, threads);
        else ThreadPoolTeam.Run(body, context, items, threads);
    }

    /// <summary>Keeps the first exception of a job in its slot, as a handle: the slot lies in memory the collector does not see.</summary>
    internal static void Record(ref nint slot, Exception exception)
    {
        var handle = GCHandle.Alloc(exception);
        if (Interlocked.CompareExchange(ref slot, GCHandle.ToIntPtr(handle), 0) != 0) handle.Free();
    }

    internal static void ThrowRecorded(nint slot)
    {
        if (slot == 0) return;
        var handle = GCHandle.FromIntPtr(slot);
        var exception = (Exception)handle.Target!;
        handle.Free();
        ExceptionDispatchInfo.Throw(exception);
    }
}

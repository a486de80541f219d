using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace TorchStab.Dispatch;

/// <summary>The threads that run a job.</summary>
internal enum TeamKind
{
    OpenMP,
    ThreadPool,
    Serial,
}

/// <summary>
/// Runs a job over fixed items (rows, channels, chunks) on as many threads as <c>torch.set_num_threads</c> allows. The body gets the context and a range
/// [first, last) of items. Ranges are not assigned to particular threads, so a body writes a result that must be merged into one slot per item, and the
/// caller merges the slots in item order. The result is then the same for any number of threads.
/// <code>
/// var job = new Job { X = x, Y = y };                      // a struct of pointers and numbers on the caller's stack
/// ParallelTeam.Run(&amp;Rows, &amp;job, rows, parallel: elements >= KernelSelection.ParallelNorm);
/// static void Rows(void* context, int first, int last) { var job = (Job*)context; … }
/// </code>
/// An exception in the body is caught, and thrown again to the caller when all threads have finished; it never reaches a native frame. A call without an
/// exception allocates nothing.
/// </summary>
/// <remarks>
/// Jobs run on libtorch's own OpenMP team if libgomp is loaded (<see cref="OpenMPTeam"/>): its threads spin for milliseconds after each libtorch operation,
/// and additional threads would compete with them for the cores. Otherwise see <see cref="ThreadPoolTeam"/>.
/// </remarks>
internal static unsafe class ParallelTeam
{
    /// <summary>
    /// Settable for tests. Setting <c>TorchStab.Threads</c> = openmp | threadpool | serial. OpenMP is not used if its threads have too small a stack.
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

    /// <summary>Whether a condition holds for all items. It may be asked of items behind one that fails.</summary>
    public static bool All(Func<int, bool> holds, int items, bool parallel)
    {
        var handle = GCHandle.Alloc(holds);
        try
        {
            var question = new Question { Holds = GCHandle.ToIntPtr(handle) };
            Run(&Ask, &question, items, parallel);
            return !question.Fails;
        }
        finally
        {
            handle.Free();
        }
    }

    private struct Question
    {
        public nint Holds;
        public bool Fails;
    }

    private static void Ask(void* context, int first, int last)
    {
        var question = (Question*)context;
        var holds = (Func<int, bool>)GCHandle.FromIntPtr(question->Holds).Target!;
        for (int i = first; i < last && !question->Fails; i++)
            if (!holds(i)) question->Fails = true;
    }

    /// <summary>Stores the first exception of a job in its slot, as a GCHandle, because the slot is in native memory.</summary>
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

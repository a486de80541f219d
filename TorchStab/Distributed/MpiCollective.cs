using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Distributed;

/// <summary>
/// The engine over Open MPI. A call that waits longer than the time-out ends the process, and mpirun then ends the other ranks. An unhandled exception
/// does the same, after printing its text.
/// </summary>
internal sealed class MpiCollective : ICollective, ISharesMemory
{
    private const int FailureExitCode = 1;
    private readonly object _gate = new();
    private readonly Timer _watchdog;
    private readonly TimeSpan _timeout;
    private readonly int? _onlyThread;
    private readonly MpiSharedMemory? _memory;
    private volatile string _waitingIn = "";
    private long _since; // by Environment.TickCount64; 0 outside a call

    public MpiCollective(TimeSpan timeout)
    {
        if (MpiLibrary.Problem is { } problem) throw new InvalidOperationException($"MPI cannot be used: {problem}");
        if (MpiMessages.IsFinished())
            throw new InvalidOperationException("MPI runs once in a process: after destroy_process_group() no other group can be made.");
        _timeout = timeout;
        _onlyThread = MpiMessages.IsStarted() || MpiMessages.Start() ? null : Environment.CurrentManagedThreadId;
        (Rank, WorldSize) = MpiMessages.Place();
        // A periodic timer: a timer for each call would wake a thread for each call.
        var period = TimeSpan.FromMilliseconds(Math.Clamp(timeout.TotalMilliseconds / 4, 1, 1000));
        _watchdog = new Timer(_ => Watch(), null, period, period);
        AppDomain.CurrentDomain.UnhandledException += AbortOnException;
        MpiSharedMemory? memory = null;
        Call("MPI_Win_allocate_shared", () => memory = MpiSharedMemory.Create(Rank, WorldSize, SharedSum.Bytes));
        _memory = memory;
        SharedSum = memory is null ? null : new SharedSum(Rank, memory.Parts, Barrier);
    }

    public int Rank { get; }

    public int WorldSize { get; }

    public SharedSum? SharedSum { get; }

    public void AllReduce(Tensor tensor, ReduceOp op) => Call("MPI_Allreduce", () => MpiMessages.AllReduce(OnCpu(tensor), op));

    public void Broadcast(Tensor tensor, int src) => Call("MPI_Bcast", () => MpiMessages.Broadcast(OnCpu(tensor), src));

    public void AllGather(Tensor output, Tensor input) => Call("MPI_Allgather", () => MpiMessages.AllGather(output, OnCpu(input)));

    public void Barrier() => Call("MPI_Barrier", MpiMessages.Barrier);

    public void Abort(string reason)
    {
        Tell(reason);
        MpiMessages.Abort(FailureExitCode);
    }

    public void Dispose()
    {
        AppDomain.CurrentDomain.UnhandledException -= AbortOnException;
        if (!MpiMessages.IsFinished()) Call("MPI_Finalize", Finish);
        _watchdog.Dispose();
    }

    private void Finish()
    {
        _memory?.Free();
        MpiMessages.Finish();
    }

    private static Tensor OnCpu(Tensor tensor) => KernelSelection.IsOnCpu(tensor) ? tensor
        : throw new InvalidOperationException(
            $"MPI moves CPU memory, and the tensor is on {tensor.device}: move it with .cpu(), or give init_process_group an engine for that device");

    private void Call(string name, Action call)
    {
        if (_onlyThread is { } only && only != Environment.CurrentManagedThreadId)
            throw new InvalidOperationException(
                "This MPI may only be called from the thread that called init_process_group (it gave less than MPI_THREAD_SERIALIZED).");
        lock (_gate)
        {
            _waitingIn = name;
            Volatile.Write(ref _since, Environment.TickCount64);
            try
            {
                call();
            }
            finally
            {
                Volatile.Write(ref _since, 0);
            }
        }
    }

    private void Watch()
    {
        if (Volatile.Read(ref _since) is not 0 and long since && Environment.TickCount64 - since > _timeout.TotalMilliseconds)
            End($"waited {_timeout.TotalSeconds:0} s in {_waitingIn} for the other ranks: one of them hangs or is far behind. "
                + "init_process_group(timeout) sets how long is too long.");
    }

    private void AbortOnException(object sender, UnhandledExceptionEventArgs e) => Abort($"{e.ExceptionObject}");

    // Runs on the timer's thread while another thread waits inside MPI, so it must not call MPI. It ends the process; mpirun then ends the job.
    private void End(string reason)
    {
        Tell(reason);
        Environment.Exit(FailureExitCode);
    }

    private void Tell(string reason)
    {
        Console.Error.WriteLine($"TorchStab: rank {Rank} of {WorldSize}: {reason}");
        Console.Error.Flush();
    }
}

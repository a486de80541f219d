namespace TorchStab.Dispatch;

/// <summary>
/// A spin lock for a few instructions; its field is 0 while it is free. A node's callbacks use it instead of <c>lock</c>, which throws in an interrupted
/// thread: an exception that leaves a callback ends the process.
/// </summary>
internal static class SpinGate
{
    public static void Enter(ref int gate)
    {
        while (Interlocked.CompareExchange(ref gate, 1, 0) != 0) Thread.Yield();
    }

    public static void Exit(ref int gate) => Volatile.Write(ref gate, 0);
}

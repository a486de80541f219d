namespace TorchStab.Dispatch;

/// <summary>
/// A lock for a few instructions, as a field that is 0 where nobody holds it. The callbacks of a node use it: <c>lock</c> raises in a thread that was
/// interrupted, and what a callback raises ends the process.
/// </summary>
internal static class SpinGate
{
    public static void Enter(ref int gate)
    {
        while (Interlocked.CompareExchange(ref gate, 1, 0) != 0) Thread.Yield();
    }

    public static void Exit(ref int gate) => Volatile.Write(ref gate, 0);
}

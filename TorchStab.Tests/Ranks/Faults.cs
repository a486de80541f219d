using System.Diagnostics;
using static TorchSharp.torch;

namespace TorchStab.Tests.Ranks;

/// <summary>What goes wrong in jobs: the last rank is at fault, the others wait for it.</summary>
internal static class Faults
{
    private static bool IsAtFault => stab.distributed.get_rank() == stab.distributed.get_world_size() - 1;

    public static void Exception()
    {
        stab.distributed.init_process_group();
        if (IsAtFault) throw new InvalidDataException("the shard of this rank is unreadable");
        stab.distributed.barrier();
    }

    /// <summary>MPI must leave .NET's signal handlers alone: a null reference is a signal first.</summary>
    public static void CaughtNullReference()
    {
        stab.distributed.init_process_group();
        try
        {
            string? text = Environment.GetEnvironmentVariable("TORCHSTAB_TESTS_UNSET");
            Console.WriteLine(text!.Length);
        }
        catch (NullReferenceException)
        {
            Console.WriteLine("caught");
        }
        stab.distributed.barrier();
    }

    public static void DifferentCalls()
    {
        stab.distributed.init_process_group();
        using var tensor = zeros(IsAtFault ? 3 : 4);
        stab.distributed.all_reduce(tensor);
    }

    public static void Killed()
    {
        stab.distributed.init_process_group();
        stab.distributed.barrier();
        if (IsAtFault) Process.GetCurrentProcess().Kill();
        stab.distributed.barrier();
    }

    public static void LeavesEarly()
    {
        stab.distributed.init_process_group();
        if (!IsAtFault) stab.distributed.barrier();
    }

    public static void Late()
    {
        stab.distributed.init_process_group(TimeSpan.FromSeconds(2));
        stab.distributed.barrier();
        if (IsAtFault) Thread.Sleep(TimeSpan.FromMinutes(2));
        stab.distributed.barrier();
    }
}

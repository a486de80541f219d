using System.Runtime.InteropServices;

namespace TorchStab.Dispatch;

/// <summary>
/// Arrays of ones and zeros, of float or double, that replace a missing weight and bias, so that a kernel needs no variant without them. The arrays grow by
/// doubling. The smaller arrays are not freed, because a job may still read them.
/// </summary>
internal static unsafe class Constants
{
    private static readonly object Gate = new();
    private static readonly Table[] Tables = [new(), new()];

    private sealed class Table
    {
        public volatile int Length;
        public byte* Ones, Zeros;
    }

    public static void* Ones(bool wide, int count) => Get(wide, count).Ones;

    public static void* Zeros(bool wide, int count) => Get(wide, count).Zeros;

    private static Table Get(bool wide, int count)
    {
        var table = Tables[wide ? 1 : 0];
        if (table.Length >= count) return table;
        lock (Gate)
        {
            if (table.Length >= count) return table;
            Fill(table, wide, Math.Max(count, Math.Max(4096, 2 * table.Length)));
            return table;
        }
    }

    private static void Fill(Table table, bool wide, int count)
    {
        int size = wide ? sizeof(double) : sizeof(float);
        byte* ones = (byte*)NativeMemory.AlignedAlloc((nuint)((long)count * size), 64);
        table.Zeros = (byte*)NativeMemory.AllocZeroed((nuint)((long)count * size));
        if (wide) new Span<double>(ones, count).Fill(1);
        else new Span<float>(ones, count).Fill(1);
        table.Ones = ones;
        table.Length = count;
    }
}

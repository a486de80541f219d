using System.Runtime.InteropServices;
using TorchStab.Kernels;

namespace TorchStab.Dispatch;

/// <summary>
/// Arrays of ones and zeros that replace a missing weight and bias, so that a kernel needs no variant without them. The arrays grow by doubling. The smaller
/// arrays are not freed, because a job may still read them.
/// </summary>
internal static unsafe class Constants
{
    private static readonly object Gate = new();
    private static readonly Table[] Tables = [new(), new(), new()];

    private sealed class Table
    {
        public volatile int Length;
        public byte* Ones, Zeros;
    }

    public static void* Ones(Element element, int count) => Get(element, count).Ones;

    public static void* Zeros(Element element, int count) => Get(element, count).Zeros;

    private static Table Get(Element element, int count)
    {
        var table = Tables[(int)element];
        if (table.Length >= count) return table;
        lock (Gate)
        {
            if (table.Length >= count) return table;
            Fill(table, element, Math.Max(count, Math.Max(4096, 2 * table.Length)));
            return table;
        }
    }

    private static void Fill(Table table, Element element, int count)
    {
        int size = element switch { Element.Float64 => 8, Element.Float32 => 4, _ => 2 };
        byte* ones = (byte*)NativeMemory.AlignedAlloc((nuint)((long)count * size), 64);
        table.Zeros = (byte*)NativeMemory.AllocZeroed((nuint)((long)count * size));
        switch (element)
        {
            case Element.Float64: new Span<double>(ones, count).Fill(1); break;
            case Element.Float32: new Span<float>(ones, count).Fill(1); break;
            default: new Span<BFloat16>(ones, count).Fill((BFloat16)1f); break;
        }
        table.Ones = ones;
        table.Length = count;
    }
}

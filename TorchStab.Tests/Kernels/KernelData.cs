using System.Numerics;
using System.Runtime.InteropServices;
using TorchStab.Kernels;

namespace TorchStab.Tests.Kernels;

/// <summary>
/// Native elements for a kernel test, deliberately off any vector's alignment, with guards on both sides that a kernel must not touch.
/// <see cref="Values"/> are the doubles that the elements stand for (already rounded to the element's precision).
/// </summary>
internal sealed unsafe class KernelData<T, E> : IDisposable
    where T : unmanaged, IBinaryFloatingPointIeee754<T> where E : unmanaged
{
    private const int Guard = 3;
    private const byte Pattern = 0xA5;
    private readonly byte* _block;
    private readonly int _bytes;

    public KernelData(double[] values)
    {
        Length = values.Length;
        _bytes = (Length + (2 * Guard)) * sizeof(E);
        _block = (byte*)NativeMemory.AlignedAlloc((nuint)_bytes, 64);
        new Span<byte>(_block, _bytes).Fill(Pattern);
        for (int i = 0; i < Length; i++) Lane.Store<V1<T>, T, E>(V1<T>.Create(T.CreateTruncating(values[i])), (E*)Pointer + i);
        Values = Read();
    }

    public int Length { get; }

    public double[] Values { get; }

    public void* Pointer => _block + (Guard * sizeof(E));

    public double[] Read()
    {
        var values = new double[Length];
        for (int i = 0; i < Length; i++) values[i] = double.CreateTruncating(V1<T>.Sum(Lane.Load<V1<T>, T, E>(Pointer, i)));
        return values;
    }

    public void AssertGuards()
    {
        var all = new Span<byte>(_block, _bytes);
        int guard = Guard * sizeof(E);
        Assert.False(all[..guard].ContainsAnyExcept(Pattern), "written before the first element");
        Assert.False(all[^guard..].ContainsAnyExcept(Pattern), "written after the last element");
    }

    public void Dispose() => NativeMemory.AlignedFree(_block);
}

internal static class KernelData
{
    /// <summary>Lengths around every vector width and unrolled loop.</summary>
    public static IEnumerable<int> Lengths => Enumerable.Range(0, 258);

    public static double[] Normal(Random random, int n, double scale = 1) =>
        [.. Enumerable.Range(0, n).Select(_ => scale * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()))];

    public static double[] Positive(Random random, int n) => [.. Enumerable.Range(0, n).Select(_ => random.NextDouble() + 0.01)];

    public static void Close(double[] expected, double[] actual, double tolerance, string what)
    {
        for (int i = 0; i < expected.Length; i++)
        {
            bool same = expected[i].Equals(actual[i]) || Math.Abs(expected[i] - actual[i]) <= tolerance * Math.Max(1, Math.Abs(expected[i]));
            Assert.True(same, $"{what}[{i}] of {expected.Length}: {actual[i]:g9}, expected {expected[i]:g9}");
        }
    }
}

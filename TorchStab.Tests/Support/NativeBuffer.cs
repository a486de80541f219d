using System.Runtime.InteropServices;
using TorchStab.Kernels;

namespace TorchStab.Tests.Support;

/// <summary>Native memory of one element type with a border of known bytes on both sides: a kernel that writes past its end is caught.</summary>
internal sealed unsafe class NativeBuffer : IDisposable
{
    private const int Border = 128;
    private const byte Mark = 0xA5;
    private readonly byte* _block;
    private readonly int _bytes, _border;
    private readonly Element _element;

    /// <summary>Undefined values, as many elements behind the boundary of a cache line as <paramref name="shift"/> says.</summary>
    public NativeBuffer(Element element, int count, int shift = 0)
    {
        _element = element;
        Count = count;
        _bytes = count * Size(element);
        _border = Border + (shift * Size(element));
        _block = (byte*)NativeMemory.AlignedAlloc((nuint)(_bytes + (2 * _border)), 64);
        new Span<byte>(_block, _bytes + (2 * _border)).Fill(Mark);
    }

    public NativeBuffer(Element element, ReadOnlySpan<double> values, int shift = 0) : this(element, values.Length, shift)
    {
        for (int i = 0; i < values.Length; i++) Set(i, values[i]);
        Values = ToArray();
    }

    public int Count { get; }

    /// <summary>What was given, as the element type holds it.</summary>
    public double[] Values { get; } = [];

    public void* Pointer => _block + _border;

    /// <summary>Values of a type, on no vector's alignment.</summary>
    public static NativeBuffer Of<E>(double[] values) where E : unmanaged
    {
        var element = typeof(E) == typeof(double) ? Element.Float64 : typeof(E) == typeof(float) ? Element.Float32
            : typeof(E) == typeof(Half) ? Element.Float16 : Element.BFloat16;
        return new(element, values, shift: 3);
    }

    public double this[int i] => _element switch
    {
        Element.Float64 => ((double*)Pointer)[i],
        Element.Float32 => ((float*)Pointer)[i],
        Element.Float16 => (double)((Half*)Pointer)[i],
        _ => (float)((BFloat16*)Pointer)[i],
    };

    public static int Size(Element element) => element switch { Element.Float64 => 8, Element.Float32 => 4, _ => 2 };

    /// <summary>The values as the element type holds them.</summary>
    public double[] ToArray() => [.. Enumerable.Range(0, Count).Select(i => this[i])];

    /// <summary>Asserts every value within a tolerance times max(1, largest expected), and the borders untouched.</summary>
    public void AssertClose(ReadOnlySpan<double> expected, double tolerance, string what)
    {
        double magnitude = 1;
        foreach (double e in expected) magnitude = Math.Max(magnitude, Math.Abs(e));
        for (int i = 0; i < expected.Length; i++)
            Assert.True(Math.Abs(this[i] - expected[i]) <= tolerance * magnitude, $"{what}[{i}] is {this[i]:g9}, expected {expected[i]:g9}");
        AssertBorders(what);
    }

    public void AssertBorders(string what)
    {
        for (int i = 0; i < _border; i++) Assert.True(_block[i] == Mark && _block[_border + _bytes + i] == Mark, $"{what}: written outside");
    }

    public void Dispose() => NativeMemory.AlignedFree(_block);

    private void Set(int i, double value)
    {
        switch (_element)
        {
            case Element.Float64: ((double*)Pointer)[i] = value; break;
            case Element.Float32: ((float*)Pointer)[i] = (float)value; break;
            case Element.Float16: ((Half*)Pointer)[i] = (Half)(float)value; break;
            default: ((BFloat16*)Pointer)[i] = (BFloat16)(float)value; break;
        }
    }
}

using System.Numerics;
using System.Runtime.Intrinsics;
using TorchStab.Kernels;

namespace TorchStab.Tests.Kernels;

/// <summary>Each width of <see cref="IVector{TSelf, T}"/> lane by lane against plain arithmetic.</summary>
public unsafe class VectorTests
{
    private static readonly double[] Values =
        [0, -0.0, 1, -1, 0.1, 3.5, -2.75, 1e-30, -1e30, 123456.7, double.NaN, double.PositiveInfinity, double.NegativeInfinity, 7, 8, 1.5];

    [Fact]
    public void One_lane() => Both<V1<float>, V1<double>>();

    [Fact]
    public void Of_128_bits() => Both<V128<float>, V128<double>>();

    [Fact]
    public void Of_256_bits()
    {
        if (Vector256.IsHardwareAccelerated) Both<V256<float>, V256<double>>();
    }

    [Fact]
    public void Of_512_bits()
    {
        if (Vector512.IsHardwareAccelerated) Both<V512<float>, V512<double>>();
    }

    private static void Both<VF, VD>() where VF : unmanaged, IVector<VF, float> where VD : unmanaged, IVector<VD, double>
    {
        Lanes<VF, float>(x => (float)x);
        Lanes<VD, double>(x => x);
        HalfWidth<VF>();
    }

    private static void Lanes<V, T>(Func<double, T> of) where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T* a = stackalloc T[16], b = stackalloc T[16], c = stackalloc T[16];
        for (int shift = 0; shift < 16; shift++)
        {
            for (int i = 0; i < 16; i++) (a[i], b[i], c[i]) = (of(Values[i]), of(Values[(i + shift) % 16]), of(Values[(i * 3 + shift) % 16]));
            V x = V.Load(a), y = V.Load(b), z = V.Load(c);
            Same(x + y, i => a[i] + b[i]);
            Same(x - y, i => a[i] - b[i]);
            Same(x * y, i => a[i] * b[i]);
            Same(x / y, i => a[i] / b[i]);
            Same(V.Sqrt(x), i => T.Sqrt(a[i]));
            Same(V.Abs(x), i => T.Abs(a[i]));
            Same(V.Max(x, y), i => T.IsNaN(a[i]) || T.IsNaN(b[i]) ? T.NaN : T.Max(a[i], b[i]));
            Same(V.Select(V.GreaterThan(x, y), z, x), i => a[i] > b[i] ? c[i] : a[i]);
            Same(V.Select(V.FirstLanes(shift), y, V.Zero), i => i < shift ? b[i] : T.Zero);
            Same(V.MultiplyAdd(x, y, z), i => T.FusedMultiplyAdd(a[i], b[i], c[i]), nearly: true);
        }
        T sum = T.Zero;
        for (int i = 0; i < 16; i++) a[i] = T.CreateChecked(i + 1);
        for (int i = 0; i < V.Count; i++) sum += a[i];
        Assert.Equal(sum, V.Sum(V.Load(a)));
        Assert.Equal(double.CreateChecked(sum), V.SumWide(V.Load(a)));

        static void Same(V actual, Func<int, T> expected, bool nearly = false)
        {
            T* lanes = stackalloc T[16];
            actual.Store(lanes);
            for (int i = 0; i < V.Count; i++)
            {
                var e = expected(i);
                bool ok = lanes[i].Equals(e) || (lanes[i] == T.Zero && e == T.Zero)
                    || (nearly && T.Abs(lanes[i] - e) <= T.Abs(e) * T.CreateChecked(1e-6));
                Assert.True(ok, $"{typeof(V)} lane {i}: {lanes[i]}, expected {e}");
            }
        }
    }

    private static void HalfWidth<V>() where V : unmanaged, IVector<V, float>
    {
        BFloat16* stored = stackalloc BFloat16[16];
        float* x = stackalloc float[16], back = stackalloc float[16];
        var random = new Random(3);
        for (int repeat = 0; repeat < 2000; repeat++)
        {
            // Any bit pattern, and now and then an exact tie.
            for (int i = 0; i < 16; i++) x[i] = BitConverter.Int32BitsToSingle(repeat % 2 == 0 ? random.Next() : (random.Next() & ~0xFFFF) | 0x8000);
            V.Load(x).Store(stored);
            V.Load(stored).Store(back);
            for (int i = 0; i < V.Count; i++)
            {
                Assert.Equal((BFloat16)x[i], stored[i]);
                Assert.Equal((float)stored[i], back[i]);
                if (float.IsFinite(back[i])) Assert.True(Math.Abs((double)back[i] - x[i]) <= Math.Abs((double)x[i]) / 256 + 1e-40);
            }
            Rounded<V, BFloat16>(x, v => (float)(BFloat16)v);
            Rounded<V, Half>(x, v => (float)(Half)v);
        }
        EveryFloat16<V>();
    }

    private static void Rounded<V, E>(float* x, Func<float, float> expected) where V : unmanaged, IVector<V, float> where E : unmanaged
    {
        float* rounded = stackalloc float[16];
        V.Round<E>(V.Load(x)).Store(rounded);
        for (int i = 0; i < V.Count; i++)
            if (!float.IsNaN(x[i])) Assert.Equal(expected(x[i]), rounded[i]);
    }

    /// <summary>All 65,536 numbers there and back, and what lies between two of them, with exact ties and their neighbours.</summary>
    private static void EveryFloat16<V>() where V : unmanaged, IVector<V, float>
    {
        Half* stored = stackalloc Half[16];
        float* x = stackalloc float[16];
        for (int bits = 0; bits <= ushort.MaxValue; bits++)
        {
            for (int i = 0; i < 16; i++) stored[i] = BitConverter.UInt16BitsToHalf((ushort)(bits + i));
            V.Load(stored).Store(x);
            for (int i = 0; i < V.Count; i++)
                Assert.True(((float)stored[i]).Equals(x[i]) && Half.IsNegative(stored[i]) == float.IsNegative(x[i]), $"{stored[i]}: {x[i]}");
            float low = x[0];
            if (!float.IsFinite(low)) continue;
            float tie = (low + (BitConverter.UInt16BitsToHalf((ushort)(bits + 1)) is var next && Half.IsFinite(next) ? (float)next : low < 0
                ? -65536 : 65536)) / 2;
            (x[0], x[1], x[2], x[3]) = (tie, MathF.BitIncrement(tie), MathF.BitDecrement(tie), low / 3);
            float[] given = [.. new Span<float>(x, V.Count)];
            V.Load(x).Store(stored);
            for (int i = 0; i < V.Count; i++) Assert.Equal((Half)given[i], stored[i]);
        }
    }
}

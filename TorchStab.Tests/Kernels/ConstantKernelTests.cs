using TorchStab.Kernels;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Kernels;

public unsafe class ConstantKernelTests
{
    public static TheoryData<int> Widths => [.. KernelForm.Widths.Select(w => (int)w)];

    /// <summary>Every length around the vector's, the memory on both sides untouched.</summary>
    [Theory]
    [MemberData(nameof(Widths))]
    public void Clears_what_it_is_given_and_nothing_else(int width)
    {
        for (int n = 0; n <= 257; n++)
        {
            byte[] expected = [.. Enumerable.Range(1, 2 * n).Select(i => (byte)i)];
            using var buffer = new NativeBuffer(Element.BFloat16, n);
            var memory = new Span<byte>(buffer.Pointer, 2 * n);
            expected.CopyTo(memory);
            Instances<ConstantKernel.Family>.Of(Element.Float32, width).Clear(buffer.Pointer, (nuint)memory.Length);
            ConstantKernel.Reference.Clear(expected);
            Assert.Equal(expected, memory.ToArray());
            buffer.AssertBorders($"length {n}");
        }
    }
}

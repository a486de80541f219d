using TorchStab.Kernels;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Kernels;

public unsafe class ConstantKernelTests
{
    /// <summary>Every length around the vector's, the memory on both sides untouched.</summary>
    [Fact]
    public void Clears_what_it_is_given_and_nothing_else()
    {
        for (int n = 0; n <= 257; n++)
        {
            byte[] expected = [.. Enumerable.Range(1, 2 * n).Select(i => (byte)i)];
            using var buffer = new NativeBuffer(Element.BFloat16, n);
            var memory = new Span<byte>(buffer.Pointer, 2 * n);
            expected.CopyTo(memory);
            ConstantKernel.Clear((byte*)buffer.Pointer, (nuint)memory.Length);
            ConstantKernel.Reference.Clear(expected);
            Assert.Equal(expected, memory.ToArray());
            buffer.AssertBorders($"length {n}");
        }
    }
}

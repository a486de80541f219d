using System.Globalization;
using System.Runtime.InteropServices;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Tests.Dispatch;

/// <summary>Advice for large outputs, as the kernel itself shows it in /proc/self/smaps. Where no advice is given, nothing must change.</summary>
public unsafe class HugePagesTests
{
    private const long Large = 64L << 20, Page = 2L << 20;

    [Fact]
    public void The_inside_of_a_block_is_advised()
    {
        void* block = NativeMemory.Alloc((nuint)Large);
        try
        {
            HugePages.Advise(block, Large);
            Assert.Equal(HugePages.IsActive, IsAdvised((nint)block + (nint)Page));
            Assert.Equal(HugePages.IsActive, IsAdvised((nint)block + (nint)(Large - Page - 1)));
            new Span<byte>(block, (int)Large).Fill(1);
        }
        finally
        {
            NativeMemory.Free(block);
        }
    }

    [Fact]
    public void A_block_without_a_whole_page_is_left_alone()
    {
        void* block = NativeMemory.AlignedAlloc((nuint)(2 * Page), (nuint)Page);
        try
        {
            HugePages.Advise((byte*)block + 1, (2 * Page) - 2);
            Assert.False(IsAdvised((nint)block));
            Assert.False(IsAdvised((nint)block + (nint)Page));
        }
        finally
        {
            NativeMemory.AlignedFree(block);
        }
    }

    [Theory]
    [InlineData(Large, true)]
    [InlineData(HugePages.LeastBytes / 2, false)]
    public void A_large_new_block_is_faulted_in_at_once(long bytes, bool populated)
    {
        void* block = NativeMemory.Alloc((nuint)Large); // so large that it is a mapping of its own
        int threads = get_num_threads();
        try
        {
            set_num_threads(1);
            HugePages.Advise(block, bytes);
            HugePages.Populate(block, bytes);
            long resident = Resident((nint)block + (nint)(bytes / 2));
            bool expected = populated && HugePages.IsActive && Environment.OSVersion.Version >= new Version(5, 14);
            Assert.True(expected ? resident > bytes - (2 * Page) : resident < Page, $"{resident} bytes of {bytes}");
            HugePages.Populate(block, bytes); // again: nothing is left to do
        }
        finally
        {
            set_num_threads(threads);
            NativeMemory.Free(block);
        }
    }

    [Theory]
    [InlineData(HugePages.LeastBytes, true)]
    [InlineData(1L << 20, false)]
    public void Outputs_are_advised_from_the_least_size_on(long bytes, bool advised)
    {
        using var input = zeros(bytes / sizeof(float));
        using var output = Tensor.UnsafeCreateTensor(NewTensor.Like(input.Handle));
        Assert.Equal(advised && HugePages.IsActive, IsAdvised((nint)TensorMemory.At(output.Handle) + (nint)(bytes / 2)));
    }

    // The flag "hg" of the mapping that holds the address; false where the system shows none.
    private static bool IsAdvised(nint address) => Field(address, "VmFlags:").Contains("hg");

    // "Rss: 1234 kB" of that mapping.
    private static long Resident(nint address) => Field(address, "Rss:") is [_, var kilobytes, ..]
        ? long.Parse(kilobytes, CultureInfo.InvariantCulture) << 10 : 0;

    // The words of a line about the mapping that holds the address.
    private static string[] Field(nint address, string name)
    {
        if (!OperatingSystem.IsLinux() || !File.Exists("/proc/self/smaps")) return [];
        bool inside = false;
        foreach (string line in File.ReadLines("/proc/self/smaps"))
        {
            if (TryRange(line, out nint first, out nint end)) inside = first <= address && address < end;
            else if (inside && line.StartsWith(name, StringComparison.Ordinal)) return line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        }
        return [];
    }

    // "7f00-7f10 rw-p …" begins a mapping.
    private static bool TryRange(string line, out nint first, out nint end)
    {
        (first, end) = (0, 0);
        string[] range = line.Split(' ')[0].Split('-');
        return range.Length == 2 && nint.TryParse(range[0], NumberStyles.HexNumber, null, out first)
            && nint.TryParse(range[1], NumberStyles.HexNumber, null, out end);
    }
}

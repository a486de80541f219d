using TorchStab.Dispatch;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace TorchStab.Tests.Dispatch;

public class MemoryLayoutTests
{
    [Fact]
    public void Channels_last_is_recognized_as_libtorch_recognizes_it()
    {
        long[] sizes = [1, 2, 3];
        foreach (long n in sizes)
            foreach (long c in sizes)
                foreach (long h in sizes)
                    foreach (long w in sizes)
                    {
                        using var scope = NewDisposeScope();
                        foreach (var x in Layouts(n, c, h, w))
                        {
                            // libtorch's group_norm gives its output the layout that the input's strides suggest.
                            using var theirs = F.group_norm(x, 1);
                            var ours = MemoryLayout.Suggested(x + 0, x);
                            Assert.Equal(Strides(theirs), Strides(ours));
                            Compare.Identical(x, ours, "values");
                        }
                    }
    }

    [Fact]
    public void Five_dimensions_keep_channels_last_3d_and_others_become_contiguous()
    {
        using var scope = NewDisposeScope();
        var x = randn([2, 3, 4, 5, 6]).permute(0, 4, 1, 2, 3);
        Assert.True(MemoryLayout.IsChannelsLast(x));
        Assert.Equal(x.stride(), MemoryLayout.Suggested(x.contiguous(), x).stride());
        var transposed = randn(2, 3, 4).transpose(1, 2);
        Assert.Equal([12, 3, 1], MemoryLayout.Suggested(transposed, transposed).stride());
        Assert.False(MemoryLayout.IsChannelsLast(randn(0, 2, 2, 3).permute(0, 3, 1, 2)));
    }

    private static Tensor[] Layouts(long n, long c, long h, long w) =>
    [
        randn(n, c, h, w), randn(n, h, w, c).permute(0, 3, 1, 2), randn(n, w, h, c).permute(0, 3, 2, 1), randn(n, 1, h, w).expand(n, c, h, w),
        randn(n, h, w, 2 * c).permute(0, 3, 1, 2).narrow(1, 0, c), randn(n, c, h, 2 * w).slice(3, 0, 2 * w, 2),
    ];

    private static long[] Strides(Tensor t) => [.. t.stride().Where((_, d) => t.shape[d] > 1)];
}

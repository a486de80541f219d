using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Initialization;

public class DiracTests
{
    [Theory, InlineData(1, 1), InlineData(3, 1), InlineData(2, 2), InlineData(4, 3)]
    public void Padded_convolution_is_the_identity(long groups, int spatial)
    {
        using var scope = NewDisposeScope();
        long channels = 4 * groups;
        var kernel = Enumerable.Repeat(3L, spatial).ToArray();
        var w = stab.nn.init.dirac_(full([channels, 4, .. kernel], double.NaN), groups);
        var x = randn([2, channels, .. Enumerable.Repeat(5L, spatial)]);
        var padding = Enumerable.Repeat(1L, spatial).ToArray();
        var y = spatial switch
        {
            1 => nn.functional.conv1d(x, w, padding: 1, groups: groups),
            2 => nn.functional.conv2d(x, w, padding: padding, groups: groups),
            _ => nn.functional.conv3d(x, w, padding: padding, groups: groups),
        };
        Compare.Close(x, y, "identity");
    }
}

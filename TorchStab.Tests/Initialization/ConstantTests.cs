using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchStab.Tests.Initialization;

public class ConstantTests
{
    /// <summary>Small and large, of every dtype that is cleared by bytes and of one that is not.</summary>
    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.Int64)]
    public void Zeros_fill_every_dtype_and_size(ScalarType dtype)
    {
        foreach (long n in new long[] { 0, 1, 31, 9408, 32 * 1024, 40_000 })
        {
            using var scope = NewDisposeScope();
            var whole = ones(n + 2, dtype);
            stab.nn.init.zeros_(whole.narrow(0, 1, n));
            Assert.Equal(2, whole.to(ScalarType.Float64).sum().item<double>());
        }
    }

    /// <summary>Cleared behind autograd's back, the backward pass would go on with the wrong weight.</summary>
    [Fact]
    public void Zeros_of_a_tensor_that_a_graph_saved_end_in_autograds_error()
    {
        using var scope = NewDisposeScope();
        Tensor x = rand(5, requires_grad: true), saved = rand(5), upstream = rand(5);
        var y = x * saved;
        stab.nn.init.zeros_(saved);
        var error = Assert.Throws<ExternalException>(() => y.backward([upstream]));
        Assert.Contains("modified by an inplace operation", error.Message);
    }
}

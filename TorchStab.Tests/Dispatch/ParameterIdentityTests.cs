using TorchSharp.Modules;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Tests.Dispatch;

/// <summary>A parameter is its memory, or its native tensor, whatever objects and handles hold it.</summary>
public class ParameterIdentityTests
{
    [Fact]
    public void A_weight_read_twice_is_one_parameter()
    {
        using var embedding = nn.Embedding(5, 3);
        var (one, two) = (embedding.weight!, embedding.weight!);
        Assert.NotEqual(one.Handle, two.Handle);
        Assert.Equal(ParameterIdentity.Of(one), ParameterIdentity.Of(two));
        Assert.Equal(ParameterIdentity.OfLeaf(one), ParameterIdentity.OfLeaf(two));
    }

    [Fact]
    public void A_weight_tied_between_two_kinds_of_layers_is_one_parameter()
    {
        using var embedding = nn.Embedding(5, 3);
        using var head = nn.Linear(3, 5, hasBias: false);
        head.weight = embedding.weight!;
        Assert.Equal(ParameterIdentity.Of(embedding.weight!), ParameterIdentity.Of(head.weight));
        Assert.Equal(ParameterIdentity.OfLeaf(embedding.weight!), ParameterIdentity.OfLeaf(head.weight));
    }

    [Fact]
    public void Two_leaves_over_one_memory_share_values_and_no_gradient()
    {
        using var scope = NewDisposeScope();
        var weight = new Parameter(randn(4, 3));
        var other = new Parameter(weight.detach());
        Assert.Equal(ParameterIdentity.Of(weight), ParameterIdentity.Of(other));
        Assert.NotEqual(ParameterIdentity.OfLeaf(weight), ParameterIdentity.OfLeaf(other));
    }

    [Fact]
    public void Other_elements_or_another_order_are_another_parameter()
    {
        using var scope = NewDisposeScope();
        var whole = randn(4, 4);
        Tensor[] views = [whole, whole.t(), whole.view(-1), whole.narrow(0, 0, 2), whole.narrow(0, 2, 2), whole.slice(1, 0, 4, 2), whole.clone()];
        Assert.Equal(views.Length, views.Select(ParameterIdentity.Of).Distinct().Count());
    }

    /// <summary>And no error of the question comes out of the next call.</summary>
    [Fact]
    public void Tensors_without_memory_are_told_apart_by_native_tensor()
    {
        using var scope = NewDisposeScope();
        foreach (var make in (Func<Tensor>[])[() => empty(0), () => empty(2, 3, device: META), () => eye(3).to_sparse()])
        {
            var (one, two) = (make(), make());
            Assert.Equal(ParameterIdentity.Of(one), ParameterIdentity.Of(one));
            Assert.NotEqual(ParameterIdentity.Of(one), ParameterIdentity.Of(two));
            Assert.Equal(1, ones(1).item<float>());
        }
    }
}

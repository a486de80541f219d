using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Surgery;

/// <summary>swap_norms_ and restore_norms_: what is handed over, and what the options do.</summary>
public class NormSwapTests
{
    public static TheoryData<string> Kinds => [.. NormKinds.All.Keys];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Hands_everything_over_and_back(string kind)
    {
        using var scope = NewDisposeScope();
        var (norm, input) = NormKinds.All[kind](ScalarType.Float64);
        using var model = nn.Sequential(norm);
        if (norm.get_parameter("weight") is { } weight) weight.requires_grad = false;
        norm.eval();
        int calls = 0;
        var hook = norm.register_forward_hook((_, _, y) => { calls++; return y; });
        var state = model.state_dict();
        var expected = model.call(input);
        var report = stab.nn.utils.swap_norms_(model);
        var twin = (nn.Module<Tensor, Tensor>)model[0];
        Assert.Equal([new ModuleChange("0", $"torch.nn.{norm.GetType().Name}", $"stab.nn.{norm.GetType().Name}")], report.Changes);
        Assert.Equal("TorchStab.Modules", twin.GetType().Namespace);
        Assert.Equal(state.Keys, model.state_dict().Keys);
        Assert.All(model.state_dict(), pair => Assert.Same(state[pair.Key], pair.Value));
        Assert.False(twin.training);
        Compare.Close(expected, model.call(input), kind);
        Assert.Equal(2, calls);
        hook.remove();
        model.call(input);
        Assert.Equal(2, calls);
        model.train();
        stab.nn.utils.restore_norms_(model);
        Assert.Same(norm, model[0]);
        Assert.True(norm.training);
        norm.eval();
        Compare.Identical(expected, model.call(input), kind);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Trains_alike(string kind)
    {
        foreach (var dtype in (ScalarType[])[ScalarType.Float64, ScalarType.Float32])
        {
            using var scope = NewDisposeScope();
            manual_seed(3);
            var (one, input) = NormKinds.All[kind](dtype);
            var (other, _) = NormKinds.All[kind](dtype);
            other.load_state_dict(one.state_dict());
            using var original = nn.Sequential(one);
            using var swapped = nn.Sequential(other);
            stab.nn.utils.swap_norms_(swapped);
            var (x, y) = (input.clone().requires_grad_(), input.clone().requires_grad_());
            var (expected, actual) = (original.call(x), swapped.call(y));
            var upstream = randn_like(expected);
            expected.backward([upstream]);
            actual.backward([upstream]);
            Compare.Close(expected, actual, kind);
            Compare.Close(x.grad, y.grad, kind + ": gradient of the input");
            foreach (var (key, value) in original.state_dict()) Compare.Close(value, swapped.state_dict()[key], $"{kind}: {key}");
            foreach (var (a, b) in original.parameters().Zip(swapped.parameters())) Compare.Close(a.grad, b.grad, kind + ": gradient of a parameter");
        }
    }

    [Fact]
    public void Follows_a_model_that_was_moved_meanwhile()
    {
        using var scope = NewDisposeScope();
        var norm = nn.BatchNorm1d(3);
        using var model = nn.Sequential(nn.Linear(3, 3), norm);
        foreach (var target in (BatchNormTarget[])[BatchNormTarget.Same, BatchNormTarget.GroupNorm(3)])
        {
            stab.nn.utils.swap_norms_(model, new SwapOptions { BatchNorm = target });
            TorchSharp.ModuleExtensionMethods.to(model, norm.weight.dtype == ScalarType.Float32 ? ScalarType.Float64 : ScalarType.Float32);
            stab.nn.utils.restore_norms_(model);
            Assert.Same(norm, model[1]);
            Assert.All(model.state_dict().Where(p => p.Key != "1.num_batches_tracked"), p => Assert.Equal(((Linear)model[0]).weight.dtype, p.Value.dtype));
            model.call(randn(4, 3, dtype: norm.weight.dtype));
        }
        Assert.Equal(2, norm.num_batches_tracked!.item<long>());
    }

    [Fact]
    public void Fuses_BatchNorm_and_ReLU_in_a_Sequential()
    {
        using var scope = NewDisposeScope();
        var relu = nn.ReLU(inplace: true);
        using var model = nn.Sequential(("conv", nn.Conv2d(3, 4, 3)), ("bn", nn.BatchNorm2d(4)), ("relu", relu),
            ("conv2", nn.Conv2d(4, 4, 1)), ("relu2", relu));
        model.eval();
        var x = randn(2, 3, 6, 6);
        var expected = model.call(x);
        var keys = model.state_dict().Keys;
        var report = stab.nn.utils.swap_norms_(model, new SwapOptions { FuseReLU = true });
        Assert.Equal([("bn", "stab.nn.BatchNormReLU2d"), ("relu", "torch.nn.Identity")], report.Changes.Select(c => (c.Path, c.To)));
        Assert.Equal(keys, model.state_dict().Keys);
        Assert.Same(relu, model[4]);
        Compare.Close(expected, model.call(x), "fused");
        stab.nn.utils.restore_norms_(model);
        Assert.Same(relu, model[2]);
        Compare.Identical(expected, model.call(x), "restored");
    }

    [Fact]
    public void Converts_to_GroupNorm_over_the_same_parameters()
    {
        using var scope = NewDisposeScope();
        var norm = nn.BatchNorm2d(4);
        using var model = nn.Sequential(norm, nn.BatchNorm2d(6));
        var report = stab.nn.utils.swap_norms_(model, new SwapOptions { BatchNorm = BatchNormTarget.GroupNorm(4) });
        Assert.Equal(["stab.nn.GroupNorm(4, 4)"], report.Changes.Select(c => c.To));
        Assert.Contains("6 channels do not divide into 4 groups", report.Refusals.Single().Reason);
        Assert.Same(norm.weight, model.named_parameters().First().parameter);
        var x = randn(2, 4, 5, 5);
        Compare.Close(nn.functional.group_norm(x, 4, norm.weight, norm.bias, norm.eps), ((nn.Module<Tensor, Tensor>)model[0]).call(x), "group norm");
        stab.nn.utils.restore_norms_(model);
        Assert.Same(norm, model[0]);
    }

    [Fact]
    public void Counts_on_where_a_half_counter_would_stop()
    {
        using var scope = NewDisposeScope();
        var norm = nn.BatchNorm1d(2, dtype: ScalarType.BFloat16);
        using (no_grad()) norm.num_batches_tracked!.fill_(256);
        using var model = nn.Sequential(norm);
        stab.nn.utils.swap_norms_(model);
        model.call(randn(4, 2, dtype: ScalarType.BFloat16));
        Assert.Equal(257, ((nn.Module)model[0]).get_buffer("num_batches_tracked")!.item<long>());
    }

    [Fact]
    public void Takes_a_filter_and_can_insist_on_all()
    {
        using var model = nn.Sequential(("a", nn.BatchNorm2d(4)), ("b", nn.BatchNorm2d(4)));
        Assert.Equal(["b"], stab.nn.utils.swap_norms_(model, new SwapOptions { Filter = path => path == "b" }).Changes.Select(c => c.Path));
        using var mixed = nn.Sequential(nn.BatchNorm2d(4), nn.TransformerEncoderLayer(8, 2));
        var error = Assert.Throws<InvalidOperationException>(() => stab.nn.utils.swap_norms_(mixed, new SwapOptions { RequireAll = true }));
        Assert.Contains("TransformerEncoderLayer", error.Message);
        Assert.IsType<BatchNorm2d>(mixed[0]);
    }

    [Fact]
    public void Leaves_no_tensors() => LiveTensors.AssertNoneLeft(() =>
    {
        using var model = nn.Sequential(nn.BatchNorm2d(3), nn.LayerNorm(4));
        stab.nn.utils.swap_norms_(model);
        stab.nn.utils.restore_norms_(model);
        stab.nn.utils.swap_norms_(model);
    }, parameters: 12);
}

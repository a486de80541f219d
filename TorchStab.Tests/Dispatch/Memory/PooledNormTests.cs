using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Dispatch.Memory;

/// <summary>Norms of large inputs, whose outputs and input gradients come from the pool of the process, against libtorch's.</summary>
public sealed class PooledNormTests
{
    private static readonly Dictionary<string, (Func<Tensor> Input, Func<Tensor, Tensor, Tensor, Tensor> Ours, Func<Tensor, Tensor, Tensor, Tensor> Theirs)>
        Norms = new()
        {
            ["LayerNorm"] = (() => randn(512, 640), (x, w, b) => stab.nn.functional.layer_norm(x, [640], w, b),
                (x, w, b) => nn.functional.layer_norm(x, [640], w, b)),
            ["LayerNorm, bfloat16"] = (() => randn(1024, 640).to(ScalarType.BFloat16), (x, w, b) => stab.nn.functional.layer_norm(x, [640], w, b),
                (x, w, b) => nn.functional.layer_norm(Wide(x), [640], Wide(w), Wide(b)).to(x.dtype)), // libtorch sums rows in bfloat16
            ["BatchNorm"] = (() => randn(8, 32, 36, 36), (x, w, b) => stab.nn.functional.batch_norm(x, null, null, w, b, training: true),
                (x, w, b) => nn.functional.batch_norm(x, null!, null!, w, b, training: true)),
            ["BatchNorm, channels_last"] = (() => randn(8, 36, 36, 32).permute(0, 3, 1, 2),
                (x, w, b) => stab.nn.functional.batch_norm(x, null, null, w, b, training: true),
                (x, w, b) => nn.functional.batch_norm(x, null!, null!, w, b, training: true)),
            ["GroupNorm"] = (() => randn(8, 32, 36, 36), (x, w, b) => stab.nn.functional.group_norm(x, 4, w, b),
                (x, w, b) => nn.functional.group_norm(x, 4, w, b)),
        };

    public static TheoryData<string> Names => [.. Norms.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void Steps_in_memory_that_was_used_before_give_libtorchs_numbers(string norm)
    {
        GC.Collect(); // outputs that earlier tests left to finalizers would end in between
        GC.WaitForPendingFinalizers();
        TorchStab.Memory.EmptyOutputPool();
        var before = TorchStab.Memory.OutputPoolStatistics;
        for (int step = 0; step < 3; step++) AssertAgrees(norm);
        var after = TorchStab.Memory.OutputPoolStatistics;
        Assert.InRange(after.Misses - before.Misses, 1, 3);
        Assert.InRange(after.Hits - before.Hits, 3, 6);
        Assert.Equal(before.BytesInUse, after.BytesInUse);
        TorchStab.Memory.EmptyOutputPool();
        Assert.Equal(after.BytesInUse, TorchStab.Memory.OutputPoolStatistics.BytesHeld);
    }

    [Fact]
    public void Many_threads_at_once_get_what_one_gets() => AtOnce.Run(4, thread =>
    {
        for (int step = 0; step < 4; step++) AssertAgrees(Norms.Keys.ElementAt((thread + step) % Norms.Count));
    });

    [Fact]
    public void No_tensor_is_left() => LiveTensors.AssertNoneLeft(() => AssertAgrees("LayerNorm"));

    [Fact]
    public void Small_outputs_have_nothing_to_do_with_the_pool()
    {
        using var scope = NewDisposeScope();
        var before = TorchStab.Memory.OutputPoolStatistics;
        stab.nn.functional.layer_norm(randn(32, 64), [64]);
        var after = TorchStab.Memory.OutputPoolStatistics; // its bytes may change by the timer of the pool
        Assert.Equal((before.Hits, before.Misses), (after.Hits, after.Misses));
    }

    private static Tensor Wide(Tensor x) => x.to(ScalarType.Float32);

    private static void AssertAgrees(string norm)
    {
        var (input, ours, theirs) = Norms[norm];
        using var scope = NewDisposeScope();
        var x = input();
        Tensor w = randn(x.size(1)).to(x.dtype), b = randn(x.size(1)).to(x.dtype), gradient = randn_like(x);
        var (output, gradients) = Run(ours);
        var (expected, right) = Run(theirs);
        Compare.Close(expected, output, norm);
        Compare.Close(right[0], gradients[0], $"{norm}: gradient of the input");
        for (int i = 1; i < 3; i++) Compare.Close(right[i], gradients[i], $"{norm}: gradient {i}", x.dtype == ScalarType.Float32 ? 1e-4 : null);

        (Tensor, Tensor[]) Run(Func<Tensor, Tensor, Tensor, Tensor> norm)
        {
            Tensor[] leaves = [.. new[] { x, w, b }.Select(t => t.detach().clone().requires_grad_(true))];
            var y = norm(leaves[0] * 1, leaves[1], leaves[2]);
            y.backward([gradient]);
            return (y.detach(), [.. leaves.Select(leaf => leaf.grad!)]);
        }
    }
}

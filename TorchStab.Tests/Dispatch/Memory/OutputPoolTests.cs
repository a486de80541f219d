using TorchStab.Dispatch;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Dispatch.Memory;

/// <summary>Memory is taken again when nobody can see it any more, and never before: small blocks from pools of the tests' own.</summary>
public sealed class OutputPoolTests
{
    private readonly ManualTime _time = new();
    private readonly OutputPool _pool;

    public OutputPoolTests() => _pool = new(_time);

    private static readonly Dictionary<string, Func<ScalarType, Tensor>> Layouts = new()
    {
        ["contiguous"] = dtype => zeros(4, 6, 5, 3, dtype: dtype),
        ["channels_last"] = dtype => zeros(4, 5, 3, 6, dtype: dtype).permute(0, 3, 1, 2),
        ["channels_last_3d"] = dtype => zeros([2, 2, 5, 3, 6], dtype: dtype).permute(0, 4, 1, 2, 3),
        ["turned"] = dtype => zeros(18, 20, dtype: dtype).t(),
        ["permuted"] = dtype => zeros(5, 4, 6, 3, dtype: dtype).permute(2, 0, 3, 1),
        ["ones"] = dtype => zeros(1, 360, 1, 1, dtype: dtype),
        ["flat"] = dtype => zeros(360, dtype: dtype),
        ["part"] = dtype => zeros(8, 6, 5, 3, dtype: dtype).narrow(0, 2, 4),
        ["gaps"] = dtype => zeros(4, 5, 36, dtype: dtype).narrow(2, 3, 18),
        ["expanded"] = dtype => zeros(1, 18, dtype: dtype).expand(20, 18),
        ["many dimensions"] = dtype => zeros([1, 2, 1, 2, 3, 1, 5, 1, 6], dtype: dtype).transpose(1, 8),
    };

    public static TheoryData<string, ScalarType> Kinds
    {
        get
        {
            TheoryData<string, ScalarType> kinds = [];
            foreach (string layout in Layouts.Keys)
                foreach (var dtype in new[] { ScalarType.Float32, ScalarType.Float64, ScalarType.BFloat16, ScalarType.Float16 }) kinds.Add(layout, dtype);
            return kinds;
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_tensor_is_what_empty_like_makes_and_its_memory_is_taken_again(string layout, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        Tensor like = Layouts[layout](dtype), expected = empty_like(like);
        nint first = 0;
        for (int i = 0; i < 3; i++)
        {
            using var made = Take(like);
            Assert.Equal(expected.shape, made.shape);
            Assert.Equal(expected.stride(), made.stride());
            Assert.Equal((dtype, 0L), (made.dtype, made.storage_offset()));
            Assert.Equal((expected.is_contiguous(), false, true), (made.is_contiguous(), made.requires_grad, made.is_leaf));
            Assert.Equal(TensorFields.TryView(expected.Handle, out _), TensorFields.TryView(made.Handle, out _));
            made.copy_(randn(like.shape));
            if (i == 0) first = At(made);
            else Assert.Equal(first, At(made));
        }
        Assert.Equal((2, 1), (_pool.Statistics().Hits, _pool.Statistics().Misses));
    }

    private static readonly Dictionary<string, Func<Tensor, Tensor>> Keepers = new()
    {
        ["view"] = y => y.view(-1),
        ["part"] = y => y.narrow(0, 3, 1),
        ["turned"] = y => y.t(),
        ["detached"] = y => y.detach(),
        ["second handle"] = y => y.alias(),
        ["set"] = y => empty(0).set_(y),
        ["lazy copy"] = StorageFieldsTests.LazyClone,
        ["parameter"] = y => new TorchSharp.Modules.Parameter(y.alias()),
        ["expanded"] = y => y.expand(2, 4, 6),
    };

    public static TheoryData<string> Kept => [.. Keepers.Keys];

    [Theory]
    [MemberData(nameof(Kept))]
    public void What_still_sees_the_memory_keeps_it(string keeper)
    {
        using var scope = NewDisposeScope();
        var like = zeros(4, 6);
        var first = Take(like);
        first.copy_(randn(4, 6));
        nint address = At(first);
        var kept = Keepers[keeper](first);
        var values = kept.detach().clone();
        first.Dispose();
        for (int i = 0; i < 3; i++)
        {
            using var other = Take(like);
            Assert.NotEqual(address, At(other));
            other.fill_(7);
        }
        Compare.Identical(values, kept.detach(), keeper);
        kept.Dispose();
        using var last = Take(like);
        last.fill_(7);
    }

    [Fact]
    public void What_a_graph_saved_keeps_its_values_until_the_backward_pass()
    {
        using var scope = NewDisposeScope();
        Tensor like = zeros(4, 6), weight = randn(6, requires_grad: true), gradient = randn(4, 6);
        var saved = Take(like);
        saved.copy_(randn(4, 6));
        nint address = At(saved);
        var values = saved.clone();
        var product = saved * weight;
        saved.Dispose();
        var other = Take(like);
        other.fill_(7);
        Assert.NotEqual(address, At(other));
        product.backward([gradient]);
        Compare.Close((gradient * values).sum([0]), weight.grad, "gradient");
        Assert.Equal(address, At(Take(like)));
    }

    [Fact]
    public void Memory_in_use_on_another_thread_is_left_alone()
    {
        using var like = zeros(4, 6);
        var made = Take(like);
        made.fill_(3);
        nint address = At(made);
        using (var other = Take(like)) Assert.NotEqual(address, At(other.fill_(7)));
        var thread = new Thread(() =>
        {
            Assert.Equal(72, made.sum().item<float>());
            made.Dispose();
        });
        thread.Start();
        thread.Join();
        Assert.Equal(0, _pool.Statistics().BytesInUse);
    }

    [Fact]
    public void A_tensor_that_grew_is_given_up_and_lives_on()
    {
        using var scope = NewDisposeScope();
        var like = zeros(4, 6);
        var grown = Take(like);
        grown.copy_(arange(24).view(4, 6));
        StorageFieldsTests.Resize(grown, 1000);
        Assert.Equal(0, _pool.Statistics().BytesHeld);
        Compare.Identical(arange(24, dtype: ScalarType.Float32), grown.narrow(0, 0, 24), "grown");
        var other = Take(like).fill_(7);
        Compare.Identical(arange(24, dtype: ScalarType.Float32), grown.narrow(0, 0, 24), "grown");
        StorageFieldsTests.Resize(other, 3); // smaller: the same memory
        other.Dispose();
        Assert.Equal((96, 0), (_pool.Statistics().BytesHeld, _pool.Statistics().BytesInUse));
    }

    [Fact]
    public void A_tensor_that_took_other_memory_frees_its_own()
    {
        using var scope = NewDisposeScope();
        var like = zeros(4, 6);
        var made = Take(like);
        nint address = At(made);
        var values = randn(2, 3);
        made.set_(values);
        var other = Take(like).fill_(7);
        Assert.Equal(address, At(other));
        Compare.Identical(values, made, "set");
    }

    [Fact]
    public void A_tensor_is_a_leaf_of_its_own_to_autograd()
    {
        using var scope = NewDisposeScope();
        var like = zeros(4, 6);
        Take(like).Dispose();
        Tensor x = Take(like), start = randn(4, 6), gradient = randn(4, 6);
        x.copy_(start);
        x.add_(1).mul_(2).transpose_(0, 1).transpose_(0, 1);
        x.requires_grad_(true);
        x.square().backward([gradient]);
        Compare.Close((start + 1) * 2 * 2 * gradient, x.grad, "gradient");
        var saved = x.square();
        using (no_grad()) x.add_(1);
        Assert.Throws<System.Runtime.InteropServices.ExternalException>(() => saved.backward([gradient]));
    }

    [Fact]
    public void A_file_holds_the_tensor_and_no_more()
    {
        using var scope = NewDisposeScope();
        string folder = Directory.CreateTempSubdirectory("torchstab").FullName;
        try
        {
            var like = zeros(40, 60);
            Take(like).Dispose();
            var values = randn(40, 60);
            values.save(Path.Combine(folder, "plain"));
            Take(like).copy_(values).save(Path.Combine(folder, "pooled"));
            Compare.Identical(values, load(Path.Combine(folder, "pooled")), "loaded");
            Assert.InRange(new FileInfo(Path.Combine(folder, "pooled")).Length - new FileInfo(Path.Combine(folder, "plain")).Length, -100, 100);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void A_copy_is_no_part_of_the_pool()
    {
        using var scope = NewDisposeScope();
        var like = zeros(4, 6);
        var made = Take(like).fill_(3);
        Tensor clone = made.clone(), wide = made.to(ScalarType.Float64), copy = made.to(made.dtype, copy: true);
        made.Dispose();
        Assert.Equal(0, _pool.Statistics().BytesInUse);
        Take(like).fill_(7);
        foreach (var other in new[] { clone, wide, copy }) Compare.Identical(full(4, 6, 3, dtype: other.dtype), other, "copy");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_tensor_belongs_to_the_inference_mode_it_was_made_in(bool firstInferred)
    {
        using var scope = NewDisposeScope();
        var like = zeros(4, 6);
        nint address = 0;
        foreach (bool inferred in new[] { firstInferred, !firstInferred, firstInferred })
        {
            using var made = Mode(inferred, () => Take(like).fill_(1));
            if (address == 0) address = At(made);
            Assert.Equal(address, At(made));
            Assert.Equal(!inferred, TensorFields.TryView(made.Handle, out _)); // it takes no inference tensor
            if (inferred) Assert.Throws<System.Runtime.InteropServices.ExternalException>(() => made.add_(1));
            else (made.add_(1) * ones(6, requires_grad: true)).backward([randn(4, 6)]);
        }

        static Tensor Mode(bool inferred, Func<Tensor> make)
        {
            using var mode = inference_mode(inferred);
            return make();
        }
    }

    private Tensor Take(Tensor like) => Tensor.UnsafeCreateTensor(_pool.Rent(like.Handle, like.numel() * like.element_size()));

    internal static unsafe nint At(Tensor tensor) => (nint)TensorMemory.At(tensor.Handle);
}

using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Tests.Dispatch.Memory;

/// <summary>What is read of libtorch's storage objects in memory: who shares a storage, and what was done to its memory.</summary>
public sealed class StorageFieldsTests
{
    [Fact]
    public void The_fields_are_where_they_are_expected() => Assert.True(StorageFields.IsProven);

    public static TheoryData<string> Sharers => [.. Shared.Keys];

    private static readonly Dictionary<string, Func<Tensor, Tensor>> Shared = new()
    {
        ["view"] = x => x.view(-1),
        ["part"] = x => x.narrow(0, 1, 2),
        ["turned"] = x => x.t(),
        ["detached"] = x => x.detach(),
        ["set"] = x => empty(0).set_(x),
        ["over"] = x => Tensor.UnsafeCreateTensor(NewTensor.LikeIn(x.Handle, x.Handle)),
        ["expanded"] = x => x.expand(2, 3, 4),
    };

    [Theory]
    [MemberData(nameof(Sharers))]
    public void A_storage_is_single_until_another_tensor_shares_it_and_again_afterwards(string sharer)
    {
        using var scope = NewDisposeScope();
        var x = randn(3, 4);
        nint storage = TensorFields.StorageOf(x.Handle);
        Assert.True(StorageFields.IsSingle(storage));
        var before = StorageFields.Memory(storage);
        using (var other = Shared[sharer](x))
        {
            Assert.Equal(storage, TensorFields.StorageOf(other.Handle));
            Assert.False(StorageFields.IsSingle(storage));
        }
        Assert.True(StorageFields.IsSingle(storage));
        Assert.Equal(before, StorageFields.Memory(storage));
        Assert.Equal((48, OutputPoolTests.At(x)), (before.Bytes, before.Elements));
    }

    [Fact]
    public void Other_memory_shows()
    {
        using var scope = NewDisposeScope();
        var x = randn(3, 4);
        nint storage = TensorFields.StorageOf(x.Handle);
        var before = StorageFields.Memory(storage);
        LazyClone(x).Dispose();
        var lazy = StorageFields.Memory(storage);
        Assert.NotEqual(before, lazy);
        Resize(x, 500);
        Assert.NotEqual(lazy, StorageFields.Memory(storage));
        Assert.Equal(2000, StorageFields.Memory(storage).Bytes);
    }

    /// <summary>A copy that shares memory until one side is written to.</summary>
    internal static Tensor LazyClone(Tensor x)
    {
        var call = new NativeCall();
        call.Add(x.Handle);
        call.Run("aten::_lazy_clone\0"u8);
        return Tensor.UnsafeCreateTensor(call.Take(0));
    }

    internal static void Resize(Tensor x, long elements)
    {
        var call = new NativeCall();
        call.Add(x.Handle);
        call.Add([elements]);
        call.AddOptional(0);
        call.Run("aten::resize_\0"u8);
        call.Take(0, wanted: false);
    }
}

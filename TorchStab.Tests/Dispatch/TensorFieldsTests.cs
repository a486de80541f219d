using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Tests.Dispatch;

/// <summary>What is read of libtorch's tensor objects in memory is what its exports say, whatever was done to a tensor in place.</summary>
public sealed unsafe class TensorFieldsTests
{
    private static readonly jit.CompilationUnit Ops = jit.compile("""
        def resize(x): return x.resize_(2, 5)
        def grow(x): return x.resize_(300)
        def empty(x): return x.resize_(0, 3)
        def strided(x): return x.as_strided_([2, 2], [1, 3], 1)
        def dense(x): return x.as_strided_([4, 2], [2, 1], 3)
        def squeeze(x): return x.unsqueeze_(0).unsqueeze_(0).unsqueeze_(0).unsqueeze_(0)
        def zeros(x): return torch._efficientzerotensor([3, 4])
        def negative(x): return torch._neg_view(x)
        def opaque(x): return x.to_mkldnn()

        """);

    private static readonly string[] InPlace = ["resize", "grow", "empty", "strided", "dense", "squeeze", "set", "set_part", "turn", "undo"];

    private static readonly ScalarType[] Dtypes =
        [ScalarType.Float32, ScalarType.Float64, ScalarType.BFloat16, ScalarType.Float16, ScalarType.Int64, ScalarType.ComplexFloat32, ScalarType.Bool];

    public static TheoryData<ScalarType> Kinds => [.. Dtypes];

    [Fact]
    public void The_fields_are_where_they_are_expected() => Assert.True(TensorFields.IsProven);

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Every_change_in_place_is_seen(ScalarType dtype)
    {
        var random = new Random(5);
        for (int walk = 0; walk < 40; walk++)
        {
            using var scope = NewDisposeScope();
            var tensor = zeros(3, 4, dtype: dtype);
            AssertAgrees(tensor, "new");
            string way = "";
            for (int step = 0; step < 6; step++)
            {
                string change = InPlace[random.Next(InPlace.Length)];
                way += " " + change;
                Change(tensor, change);
                AssertAgrees(tensor, way);
            }
        }
    }

    [Fact]
    public void A_tensor_of_another_kind_is_not_taken_for_plain_memory()
    {
        using var scope = NewDisposeScope();
        var x = randn(3, 4);
        Tensor inferred, viewed;
        using (inference_mode()) (inferred, viewed) = (randn(3, 4), x.view(-1));
        Tensor[] others =
        [
            (Tensor)Ops.invoke("zeros", x), (Tensor)Ops.invoke("negative", x), (Tensor)Ops.invoke("opaque", x), complex(x, x).conj().imag, x.to_sparse(),
            zeros(3, 4, device: META),
            x.t(), x.expand(2, 3, 4), inferred, zeros(0, 4), complex(x, x).conj(),
        ];
        foreach (var other in others)
        {
            Assert.False(TensorFields.TryView(other.Handle, out _), other.ToString());
            AssertAgrees(other, "another");
        }
        foreach (var plain in new[] { x, x[1], x.requires_grad_(true).detach(), x.alias(), viewed, new TorchSharp.Modules.Parameter(randn(2)), x * 2 })
            AssertAgrees(plain, "plain");
        Assert.True(TensorFields.TryView(x.Handle, out _));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(9)]
    public void Sizes_are_compared_at_every_rank(int rank)
    {
        using var scope = NewDisposeScope();
        long[] sizes = [.. Enumerable.Range(0, rank).Select(d => d % 2 + 1L)];
        for (int d = 0; d < rank; d++)
        {
            long[] other = [.. sizes];
            other[d] = 3 - other[d];
            Assert.False(TensorShape.Same(zeros(sizes), zeros(other)));
            Assert.True(TensorShape.Same(zeros(other), zeros(other)));
        }
        Assert.False(TensorShape.Same(zeros(sizes), zeros([.. sizes, 1])));
    }

    private static void Change(Tensor tensor, string change)
    {
        using var _ = no_grad();
        switch (change)
        {
            case "set": tensor.set_(zeros(5, 2, 3, dtype: tensor.dtype)); break;
            case "set_part": tensor.set_(zeros(9, 4, dtype: tensor.dtype).narrow(0, 2, 3)); break;
            case "turn" when tensor.dim() > 1: tensor.transpose_(0, -1); break;
            case "turn": break;
            case "undo": tensor.set_(zeros(3, 4, dtype: tensor.dtype)); break;
            case "strided" or "dense" when tensor.numel() < 12: break;
            default: ((Tensor)Ops.invoke(change, tensor)).Dispose(); break;
        }
    }

    // The exports' answers.
    private static void AssertAgrees(Tensor tensor, string what)
    {
        nint handle = tensor.Handle;
        bool cpu = LibTorch.DeviceKind(handle) == 0, plain = cpu && KernelSelection.IsPlain(handle), layout = !tensor.is_sparse
            && LibTorch.IsContiguous(handle) != 0;
        bool dense = plain && layout && KernelSelection.HasElement(tensor.dtype);
        var view = TensorMemory.View(handle);
        Assert.True(dense == view.Dense, $"{what}: {(view.Dense ? "taken" : "not taken")}");
        if (TensorFields.TryView(handle, out var read)) Assert.True(dense, what);
        if (!dense) return;
        Assert.Equal(((nint)LibTorch.Data(handle), LibTorch.Numel(handle), tensor.dtype, handle), ((nint)view.Data, view.Count, view.Dtype, view.Handle));
        if (read.Dense) Assert.Equal(((nint)view.Data, view.Count, view.Dtype), ((nint)read.Data, read.Count, read.Dtype));
        Assert.Equal(tensor.dim(), TensorFields.Dimensions(handle));
        Assert.Equal(tensor.shape, Enumerable.Range(0, (int)tensor.dim()).Select(d => TensorFields.Size(handle, d)));
        GC.KeepAlive(tensor);
    }
}

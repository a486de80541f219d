using TorchStab.Dispatch;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Dispatch;

public sealed unsafe class ReductionLaunchTests : IDisposable
{
    private static readonly long[] Lengths = [5, 1, 0, 70_000, 64, 64, 32_768, 32_769, 1_000_003, 257, 3];

    private readonly TeamKind _team = ParallelTeam.Kind;
    private readonly int _threads = get_num_threads();

    public void Dispose()
    {
        ParallelTeam.Kind = _team;
        set_num_threads(_threads);
    }

    public static TheoryData<ScalarType, double> Cases
    {
        get
        {
            var cases = new TheoryData<ScalarType, double>();
            foreach (var dtype in new[] { ScalarType.Float32, ScalarType.Float64, ScalarType.BFloat16 })
                foreach (double order in new[] { 0, 1, 2, double.PositiveInfinity }) cases.Add(dtype, order);
            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Each_tensor_gets_its_own_result(ScalarType dtype, double order)
    {
        using var scope = NewDisposeScope();
        manual_seed(1);
        var tensors = Lengths.Select(n => randn(n).to(dtype)).ToArray();
        double[] actual = Run(tensors, order);
        for (int i = 0; i < tensors.Length; i++)
        {
            var exact = tensors[i].to(ScalarType.Float64).abs();
            double expected = tensors[i].numel() == 0 ? 0
                : (order == 2 ? exact.square().sum() : order == 1 ? exact.sum() : order == 0 ? exact.ne(0).to(ScalarType.Float64).sum() : exact.max())
                    .item<double>();
            Assert.True(Math.Abs(expected - actual[i]) <= Tolerance.Float64 * expected, $"{i}: {actual[i]}, expected {expected}");
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_bits_do_not_depend_on_the_threads(ScalarType dtype, double order)
    {
        using var scope = NewDisposeScope();
        var tensors = Lengths.Select(n => randn(n).to(dtype)).ToArray();
        ParallelTeam.Kind = TeamKind.Serial;
        double[] serial = Run(tensors, order);
        foreach (var kind in new[] { TeamKind.OpenMP, TeamKind.ThreadPool })
        {
            ParallelTeam.Kind = kind;
            for (int threads = 1; threads <= 4; threads++)
            {
                set_num_threads(threads);
                Assert.Equal(serial, Run(tensors, order));
            }
        }
    }

    [Fact]
    public void A_missing_gradient_gives_nothing_and_a_bad_one_shows_where_it_is()
    {
        using var scope = NewDisposeScope();
        var good = ones(10);
        var bad = full(10, double.NaN);
        double[] results = Run([good, null, bad], 2);
        Assert.Equal([10, 0, double.NaN], results);
    }

    private static double[] Run(Tensor?[] tensors, double order)
    {
        var pass = ReductionLaunch.Start();
        foreach (var t in tensors)
        {
            if (t is null) pass.Add(null, 0, null);
            else pass.Add(TensorMemory.Pointer<byte>(t), t.numel(), ReductionKernels.For(t.dtype, order));
        }
        double[] results = pass.Run(max: double.IsPositiveInfinity(order)).ToArray();
        GC.KeepAlive(tensors);
        return results;
    }
}

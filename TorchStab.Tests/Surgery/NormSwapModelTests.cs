using TorchStab.Tests.Support;
using TorchStab.Tests.Surgery.Models;
using static TorchSharp.torch;

namespace TorchStab.Tests.Surgery;

/// <summary>swap_norms_ on models written as users write them.</summary>
public class NormSwapModelTests
{
    public static TheoryData<string> Names => RealModels.Names;

    [Theory]
    [MemberData(nameof(Names))]
    public void Trains_as_the_original_does(string name)
    {
        using var scope = NewDisposeScope();
        var (original, swapped) = RealModels.Pair(name, ScalarType.Float64);
        var parameters = swapped.named_parameters().ToList();
        using var sgd = optim.SGD(original.parameters(), 1e-3, momentum: 0.9);
        using var other = optim.SGD(swapped.parameters(), 1e-3, momentum: 0.9);
        var report = stab.nn.utils.swap_norms_(swapped);
        Assert.Equal(RealModels.All[name].norms, report.Changes.Count);
        Assert.Empty(report.Refusals);
        Assert.Empty(RealModels.Norms(swapped, "TorchSharp"));
        foreach (var (before, after) in parameters.Zip(swapped.named_parameters()))
            Assert.True(before.name == after.name && ReferenceEquals(before.parameter, after.parameter), before.name);
        for (int step = 0; step < 5; step++)
        {
            manual_seed(100 + step);
            var input = RealModels.All[name].input(ScalarType.Float64);
            Tensor? upstream = null;
            var expected = RealModels.Backward(original, input, ref upstream);
            var actual = RealModels.Backward(swapped, input, ref upstream);
            sgd.step();
            other.step();
            RealModels.Relative(expected, actual, Tolerance.TrainedFloat64, $"{name}, step {step}: output");
            RealModels.Same(original, swapped, Tolerance.TrainedFloat64, $"{name}, step {step}");
        }
        original.eval();
        swapped.eval();
        var x = RealModels.All[name].input(ScalarType.Float64);
        RealModels.Relative(original.call(x), swapped.call(x), Tolerance.TrainedFloat64, $"{name} in eval mode");
        original.Dispose();
        swapped.Dispose();
    }

    /// <summary>
    /// In float32 a rounding difference can push a value over the kink of a ReLU, and one such value changes gradients by more than 1e-5: in
    /// either model, in any step, by chance. So each of ten steps starts from the same state, and the median of their distances from float64 is
    /// held against the original's: chance decides a step's, a fault shows in all.
    /// </summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void Is_as_near_to_float64_as_the_original(string name)
    {
        using var scope = NewDisposeScope();
        var (original, swapped) = RealModels.Pair(name, ScalarType.Float32);
        var (exact, _) = RealModels.Pair(name, ScalarType.Float64);
        stab.nn.utils.swap_norms_(swapped);
        using var sgd = optim.SGD(original.parameters(), 1e-3);
        List<double> own = [], ours = [];
        for (int step = 0; step < 10; step++)
        {
            foreach (var model in (nn.Module[])[swapped, exact]) RealModels.CopyState(original, model);
            manual_seed(100 + step);
            var input = RealModels.All[name].input(ScalarType.Float32);
            Tensor? upstream = null;
            var expected = RealModels.Backward(original, input, ref upstream);
            RealModels.Relative(expected, RealModels.Backward(swapped, input, ref upstream), Tolerance.Float32, $"{name}, step {step}: output");
            RealModels.Backward(exact, input.is_floating_point() ? input.to(ScalarType.Float64) : input, ref upstream);
            foreach (var (a, b) in original.named_buffers().Zip(swapped.named_buffers()))
                RealModels.Relative(a.buffer, b.buffer, Tolerance.Float32, $"{name}, step {step}: {a.name}");
            own.Add(RealModels.GradientDistance(original, exact));
            ours.Add(RealModels.GradientDistance(swapped, exact));
            sgd.step();
        }
        double median = Median(ours), bound = Tolerance.Float32 + 2 * Median(own);
        Assert.True(median <= bound, $"{name}: gradients differ from float64 by {median:g3}, allowed {bound:g3}");
        foreach (var model in (nn.Module[])[original, swapped, exact]) model.Dispose();
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Loads_what_the_original_saved_and_the_other_way(string name)
    {
        using var scope = NewDisposeScope();
        var (original, swapped) = RealModels.Pair(name, ScalarType.Float32);
        stab.nn.utils.swap_norms_(swapped);
        foreach (var (from, to) in ((nn.Module, nn.Module)[])[(original, swapped), (swapped, original)])
        {
            using (no_grad())
                foreach (var t in from.state_dict().Values) t.add_(1);
            using var file = new MemoryStream();
            using var writer = new BinaryWriter(file);
            from.save(writer);
            file.Position = 0;
            using var reader = new BinaryReader(file);
            to.load(reader);
            RealModels.Same(from, to, 0, name);
        }
        original.Dispose();
        swapped.Dispose();
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Restored_is_bit_identical(string name)
    {
        using var scope = NewDisposeScope();
        var (reference, model) = RealModels.Pair(name, ScalarType.Float32);
        var modules = model.named_modules().ToList();
        var swap = stab.nn.utils.swap_norms_(model);
        var restore = stab.nn.utils.restore_norms_(model);
        Assert.Equal(swap.Changes.Select(c => (c.Path, c.To, c.From)), restore.Changes.Select(c => (c.Path, c.From, c.To)));
        Assert.Equal(modules, model.named_modules());
        var x = RealModels.All[name].input(ScalarType.Float32);
        manual_seed(3);
        var expected = reference.call(x);
        manual_seed(3);
        var actual = model.call(x);
        (expected * expected).sum().backward();
        (actual * actual).sum().backward();
        Compare.Identical(expected, actual, name);
        RealModels.Same(reference, model, 0, name);
        reference.Dispose();
        model.Dispose();
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);
}

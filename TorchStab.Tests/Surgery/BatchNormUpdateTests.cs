using TorchSharp.Modules;
using TorchStab.Tests.Support;
using TorchStab.Tests.Surgery.Models;
using static TorchSharp.torch;

namespace TorchStab.Tests.Surgery;

/// <summary>update_bn.</summary>
public class BatchNormUpdateTests
{
    private static Sequential Net() => nn.Sequential(("a", nn.Conv2d(2, 4, 3, dtype: ScalarType.Float64)), ("n1", nn.BatchNorm2d(4, dtype: ScalarType.Float64)),
        ("r", nn.ReLU()), ("b", nn.Conv2d(4, 3, 3, dtype: ScalarType.Float64)), ("n2", nn.BatchNorm2d(3, dtype: ScalarType.Float64)));

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Gives_the_statistics_of_what_each_layer_sees_in_eval_mode(bool swapped)
    {
        using var scope = NewDisposeScope();
        manual_seed(2);
        using var model = Net();
        if (swapped) stab.nn.utils.swap_norms_(model);
        var data = randn(24, 2, 8, 8, dtype: ScalarType.Float64) * 3 + 1;
        model.train();
        Assert.Equal(["n1", "n2"], stab.nn.utils.update_bn(model, data.split(7)));
        Assert.All(model.modules(), m => Assert.True(m.training));
        Assert.Equal(swapped ? "TorchStab.Modules" : "TorchSharp.Modules", model[1].GetType().Namespace);
        model.eval();
        var x = data;
        foreach (var layer in model.children().Cast<nn.Module<Tensor, Tensor>>())
        {
            if (layer.get_buffer("running_mean") is { } mean)
            {
                Compare.Close(x.mean([0, 2, 3]), mean, "mean");
                Compare.Close(x.var([0, 2, 3], unbiased: true), layer.get_buffer("running_var"), "unbiased variance");
                Assert.Equal(4, (double)layer.get_buffer("num_batches_tracked")!);
            }
            x = layer.call(x);
        }
    }

    [Theory]
    [InlineData("ResNet-18")]
    [InlineData("U-Net")]
    public void Does_not_depend_on_the_split(string name)
    {
        using var scope = NewDisposeScope();
        var (one, other) = RealModels.Pair(name, ScalarType.Float64);
        var data = RealModels.All[name].input(ScalarType.Float64)[TensorIndex.Ellipsis, ..32, ..32];
        Assert.Equal(RealModels.All[name].norms, stab.nn.utils.update_bn(one, [data]).Count);
        stab.nn.utils.update_bn(other, data.split(1).Select(x => (x, zeros(1))));
        foreach (var (a, b) in one.named_buffers().Zip(other.named_buffers()))
            if (a.buffer.is_floating_point()) RealModels.Relative(a.buffer, b.buffer, Tolerance.Float64, a.name);
        one.Dispose();
        other.Dispose();
    }

    private sealed class Typed : nn.Module<Tensor, Tensor>
    {
        private readonly BatchNorm1d norm = nn.BatchNorm1d(3);
        public bool Direct;

        public Typed() : base(nameof(Typed)) => RegisterComponents();

        public override Tensor forward(Tensor x) => Direct ? norm.forward(x) : norm.call(x);
    }

    [Fact]
    public void Sees_a_norm_in_a_field_of_its_sealed_type_through_call()
    {
        using var scope = NewDisposeScope();
        using var model = new Typed();
        var data = randn(20, 3);
        stab.nn.utils.update_bn(model, data.split(3));
        Compare.Close(data.mean([0]), model.get_buffer("norm.running_mean"), "mean");
        model.Direct = true;
        Assert.Contains("call()", Assert.Throws<InvalidOperationException>(() => stab.nn.utils.update_bn(model, data.split(3))).Message);
        Compare.Close(data.mean([0]), model.get_buffer("norm.running_mean"), "unchanged");
    }

    [Fact]
    public void Failures_leave_the_statistics_as_they_were()
    {
        using var scope = NewDisposeScope();
        using var model = Net();
        var before = FoldingSamples.Snapshot(model);
        var bad = randn(2, 2, 8, 8, dtype: ScalarType.Float64);
        bad[0, 0, 0, 0] = double.NaN;
        IEnumerable<Tensor> Once()
        {
            yield return bad;
            throw new FormatException();
        }
        foreach (var (loader, words) in ((IEnumerable<Tensor>, string)[])[([], "no batch"), ([bad], "not finite"), ([bad[..0]], "one value")])
            Assert.Contains(words, Assert.Throws<InvalidOperationException>(() => stab.nn.utils.update_bn(model, loader)).Message);
        Assert.Throws<FormatException>(() => stab.nn.utils.update_bn(model, Once()));
        var queue = new Queue<Tensor>([randn(4, 2, 8, 8, dtype: ScalarType.Float64)]);
        IEnumerable<Tensor> Drain()
        {
            while (queue.TryDequeue(out var x)) yield return x;
        }
        Assert.Contains("once only", Assert.Throws<InvalidOperationException>(() => stab.nn.utils.update_bn(model, Drain())).Message);
        foreach (var (tensor, value) in before) Compare.Identical(value, tensor, "state");
        Assert.All(model.modules(), m => Assert.True(m.GetType().Namespace == "TorchSharp.Modules" && m.training));
    }

    /// <summary>Calls its norm again on what came of the norm's own output; collects the norm's inputs.</summary>
    private sealed class Twice(Func<Tensor, Tensor> between, ScalarType dtype) : nn.Module<Tensor, Tensor>(nameof(Twice))
    {
        private sealed class Place(nn.Module<Tensor, Tensor> norm)
        {
            public nn.Module<Tensor, Tensor> Norm = norm;
        }

        private readonly Place first = new(nn.BatchNorm1d(3, dtype: dtype)), last = new(nn.BatchNorm1d(3, dtype: dtype));
        public readonly List<Tensor> Inputs = [], LastInputs = [];

        public Twice Registered()
        {
            register_module("first", first.Norm);
            register_module("last", last.Norm);
            return this;
        }

        public override Tensor forward(Tensor x)
        {
            for (int i = 0; i < 3; i++)
            {
                Inputs.Add(x.alias().DetachFromDisposeScope());
                x = first.Norm.call(x);
                LastInputs.Add(x.alias().DetachFromDisposeScope());
                x = between(last.Norm.call(x));
            }
            return x;
        }
    }

    [Theory]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.Float32)]
    public void A_norm_that_gets_its_own_output_has_the_statistics_of_what_it_gets(ScalarType dtype)
    {
        manual_seed(6);
        foreach (var between in (Func<Tensor, Tensor>[])[x => x.alias(), x => x.relu() * 2 - 1, x => x.roll(1, 1) * -3 + 5])
            foreach (var (mean, deviation) in ((double, double)[])[(20, 1), (0, 0.3), (1, 5)])
            {
                using var scope = NewDisposeScope();
                using var model = new Twice(between, dtype).Registered();
                var data = randn(60, 3, dtype: dtype) * deviation + mean;
                Assert.Equal(["first", "last"], stab.nn.utils.update_bn(model, data.split(16)));
                Assert.Equal(12, (double)model.get_buffer("first.num_batches_tracked")!);
                model.Inputs.Clear();
                model.LastInputs.Clear();
                model.eval();
                model.call(data);
                foreach (var (name, seen) in new[] { ("first", cat(model.Inputs)), ("last", cat(model.LastInputs)) })
                {
                    RealModels.Relative(seen.mean([0]), model.get_buffer(name + ".running_mean"), dtype == ScalarType.Float64 ? 1e-10 : 1e-5,
                        name + ": mean", 1);
                    RealModels.Relative(seen.var([0], unbiased: true), model.get_buffer(name + ".running_var"), dtype == ScalarType.Float64 ? 1e-10 : 1e-5,
                        name + ": variance", 1);
                }
            }
    }

    /// <summary>What a norm behind the loop gets moves by many deviations while the loop settles; it has no part in that.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void A_norm_behind_one_that_gets_its_own_output_has_the_statistics_of_what_it_gets(long seed)
    {
        using var scope = NewDisposeScope();
        manual_seed(seed);
        var data = Enumerable.Range(0, 5).Select(i => randn(7 + i, 6, ScalarType.Float64) * (i + 1) + 5 * i).ToList();
        var layers = new[] { nn.Linear(6, 6, dtype: ScalarType.Float64), nn.Linear(6, 6, dtype: ScalarType.Float64) };
        nn.Module<Tensor, Tensor> inside = stab.nn.BatchNorm1d(6, dtype: ScalarType.Float64), behind = stab.nn.BatchNorm1d(6, dtype: ScalarType.Float64);
        using var model = nn.Sequential(("a", inside), ("b", layers[0]), ("c", inside), ("d", layers[1]), ("e", inside), ("f", behind));
        stab.nn.utils.update_bn(model, data);
        model.eval();
        var (x, first) = (cat(data), new List<Tensor>());
        foreach (var (name, module) in model.named_children())
        {
            if (module == inside) first.Add(x);
            if (name == "f") break;
            x = ((nn.Module<Tensor, Tensor>)module).call(x);
        }
        foreach (var (norm, seen) in new[] { (inside, cat(first)), (behind, x) })
        {
            RealModels.Relative(seen.mean([0]), norm.get_buffer("running_mean"), 1e-10, "mean", 1);
            RealModels.Relative(seen.var([0], unbiased: true), norm.get_buffer("running_var"), 1e-10, "variance", 1);
        }
    }

    [Fact]
    public void Statistics_that_never_settle_are_an_error_and_stay()
    {
        using var scope = NewDisposeScope();
        int pass = 0;
        using var model = new Twice(x => x + pass++ * 10, ScalarType.Float64).Registered();
        var before = FoldingSamples.Snapshot(model);
        var error = Assert.Throws<InvalidOperationException>(() => stab.nn.utils.update_bn(model, [randn(8, 3, ScalarType.Float64)]));
        Assert.Contains("give each call a BatchNorm of its own", error.Message, StringComparison.Ordinal);
        foreach (var (tensor, value) in before) Compare.Identical(value, tensor, "state");
    }
}

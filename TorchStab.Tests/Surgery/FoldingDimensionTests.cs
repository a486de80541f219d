using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Surgery;

/// <summary>A norm is folded only where its channels are those of the layer before it: whatever comes in later, the output stays.</summary>
public class FoldingDimensionTests
{
    private sealed class Custom(Func<Tensor, Tensor> run) : nn.Module<Tensor, Tensor>(nameof(Custom))
    {
        public Custom With(params (string name, nn.Module module)[] parts)
        {
            foreach (var (name, part) in parts) register_module(name, part);
            return this;
        }

        public override Tensor forward(Tensor input) => run(input);
    }

    private sealed class Place
    {
        public required nn.Module<Tensor, Tensor> Norm;
    }

    private static nn.Module<Tensor, Tensor> InCustom(nn.Module<Tensor, Tensor> layer, nn.Module<Tensor, Tensor> norm)
    {
        var place = new Place { Norm = norm };
        return new Custom(x => place.Norm.call(layer.call(x))).With(("norm", norm), ("layer", layer));
    }

    private static readonly Dictionary<string, Func<nn.Module<Tensor, Tensor>>> Norms1d = new()
    {
        ["torch.nn"] = () => nn.BatchNorm1d(6),
        ["stab.nn"] = () => stab.nn.BatchNorm1d(6),
        ["ReLU"] = () => stab.nn.BatchNormReLU1d(6),
        ["renorm"] = () => stab.nn.BatchRenorm1d(6),
        ["sync"] = () => stab.nn.SyncBatchNorm(6),
    };

    public static TheoryData<string, bool, bool> Ambiguous
    {
        get
        {
            var data = new TheoryData<string, bool, bool>();
            foreach (string norm in Norms1d.Keys)
                foreach (bool conv in (bool[])[false, true])
                    foreach (bool custom in (bool[])[false, true]) data.Add(norm, conv, custom);
            return data;
        }
    }

    /// <summary>Linear: (N, 4) is right and (N, 6, 4) is not; Conv1d: (N, 3, 6) is right and (3, 6) without a batch is not.</summary>
    [Theory]
    [MemberData(nameof(Ambiguous))]
    public void A_norm_that_takes_two_ranks_folds_by_an_example_of_the_right_one_only(string kind, bool conv, bool custom)
    {
        using var scope = NewDisposeScope();
        manual_seed(5);
        Tensor right = conv ? randn(5, 3, 6) : randn(5, 4), wrong = conv ? randn(3, 6) : randn(5, 6, 4);
        foreach (var example in (Tensor?[])[null, wrong, right])
        {
            nn.Module<Tensor, Tensor> layer = conv ? nn.Conv1d(3, 6, 1) : nn.Linear(4, 6);
            var norm = Random(Norms1d[kind]());
            using nn.Module<Tensor, Tensor> model = custom ? InCustom(layer, norm) : nn.Sequential(layer, norm);
            model.eval();
            var expected = (model.call(right), model.call(wrong));
            stab.nn.utils.fuse_norms(model, out var report, example);
            bool shown = ReferenceEquals(example, right);
            Assert.Equal((shown ? 1 : 0, shown ? 0 : 1), (report.Changes.Count, report.Refusals.Count));
            if (example is null) Assert.EndsWith("pass an example input, which shows more", report.Refusals[0].Reason, StringComparison.Ordinal);
            Compare.Close(expected.Item1, model.call(right), kind);
            if (!shown) Compare.Identical(expected.Item2, model.call(wrong), kind);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_linear_layer_is_never_folded_with_a_norm_of_images(bool example)
    {
        using var scope = NewDisposeScope();
        foreach (bool custom in (bool[])[false, true])
            foreach (int rank in (int[])[2, 3])
            {
                var layer = nn.Linear(4, 6);
                var norm = Random(rank == 2 ? nn.BatchNorm2d(6) : nn.BatchNorm3d(6));
                using nn.Module<Tensor, Tensor> model = custom ? InCustom(layer, norm) : nn.Sequential(layer, norm);
                model.eval();
                var x = randn([2, .. Enumerable.Repeat(6L, rank), 4]);
                var expected = model.call(x);
                stab.nn.utils.fuse_norms(model, out var report, example ? x : null);
                Assert.Empty(report.Changes);
                Compare.Identical(expected, model.call(x), "left");
                Assert.Contains("normalizes along another dimension",
                    Assert.Throws<ArgumentException>("bn", () => stab.nn.utils.fuse_linear_bn_eval(layer, norm)).Message, StringComparison.Ordinal);
                using var conv = nn.Conv1d(3, 6, 1);
                conv.eval();
                Assert.Throws<ArgumentException>("bn", () => stab.nn.utils.fuse_conv_bn_eval(conv, norm));
            }
    }

    /// <summary>Layers of other widths, or a Flatten, leave (N, C) as the only input that goes through.</summary>
    [Fact]
    public void Without_an_example_a_perceptron_folds_where_only_two_dimensions_go_through()
    {
        using var scope = NewDisposeScope();
        foreach (bool flat in (bool[])[false, true])
        {
            using var model = nn.Sequential([.. flat ? [nn.Flatten()] : Array.Empty<nn.Module<Tensor, Tensor>>(), nn.Linear(4, 6),
                Random(nn.BatchNorm1d(6)), nn.ReLU(),
                nn.Linear(6, flat ? 6 : 5), Random(nn.BatchNorm1d(flat ? 6 : 5))]);
            model.eval();
            var x = randn(3, 4);
            var expected = model.call(x);
            stab.nn.utils.fuse_norms(model, out var report);
            Assert.True(report.Changes.Count == 2, report.ToString());
            Compare.Close(expected, model.call(x), "folded");
        }
    }

    [Fact]
    public void An_example_shows_the_rank_inside_of_modules_of_modules()
    {
        using var scope = NewDisposeScope();
        Sequential Inner() => nn.Sequential(nn.Linear(4, 6), Random(nn.BatchNorm1d(6)));
        foreach (bool sequence in (bool[])[false, true])
        {
            var inner = Inner();
            using nn.Module<Tensor, Tensor> model = new Custom(x => inner.call(sequence ? x.view(-1, 6, 4) : x)).With(("inner", inner));
            model.eval();
            var x = randn(3, sequence ? 24 : 4);
            var expected = model.call(x);
            stab.nn.utils.fuse_norms(model, out var without);
            Assert.Empty(without.Changes);
            stab.nn.utils.fuse_norms(model, out var with, x);
            Assert.Equal(sequence ? 0 : 1, with.Changes.Count);
            Compare.Close(expected, model.call(x), "output");
        }
    }

    /// <summary>CMT's feed-forward: the convolution stands in a module of its own before the norm.</summary>
    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float64)]
    public void A_convolution_inside_the_module_before_the_norm_is_found(ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        foreach (bool example in (bool[])[false, true])
        {
            nn.Module<Tensor, Tensor> conv = nn.Conv2d(4, 4, 3, padding: 1, groups: 4, dtype: dtype);
            using var model = nn.Sequential(new Custom(x => conv.call(x)).With(("conv", conv)), Random(nn.BatchNorm2d(4, dtype: dtype)), nn.GELU());
            model.eval();
            var x = randn(2, 4, 8, 8, dtype: dtype);
            var expected = model.call(x);
            stab.nn.utils.fuse_norms(model, out var report, example ? x : null);
            Assert.Equal(["torch.nn.Identity, folded into 0.conv"], report.Changes.Select(c => c.To));
            // statistics rounded once more, in eight bits
            Compare.Close(expected, model.call(x), "folded", dtype == ScalarType.BFloat16 ? 0.1 : Tolerance.Folded(dtype));
        }
    }

    /// <summary>A layer deep in a model of many paths moves the output little: in float32 it was taken for one that does not feed the norm.</summary>
    [Fact]
    public void A_layer_that_moves_the_output_little_is_found_in_float32()
    {
        using var scope = NewDisposeScope();
        manual_seed(5);
        var (conv, norm, skip) = (nn.Conv2d(3, 3, 1), Random(nn.BatchNorm2d(3)), nn.Conv2d(3, 3, 1));
        var place = new Place { Norm = norm };
        using var model = new Custom(x => place.Norm.call(conv.call(x)) * 1e-4 + skip.call(x)).With(("conv", conv), ("norm", norm), ("skip", skip));
        model.eval();
        stab.nn.utils.fuse_norms(model, out var report, randn(2, 3, 4, 4));
        Assert.Equal(["torch.nn.Identity, folded into conv"], report.Changes.Select(c => c.To));
    }

    [Fact]
    public void A_model_that_runs_in_its_own_dtype_only_is_proven_in_it()
    {
        using var scope = NewDisposeScope();
        manual_seed(5);
        var (conv, norm) = (nn.Conv2d(3, 3, 1), Random(nn.BatchNorm2d(3)));
        var place = new Place { Norm = norm };
        using var model = new Custom(x => x.dtype == ScalarType.Float32 ? place.Norm.call(conv.call(x)).relu() : throw new FormatException())
            .With(("conv", conv), ("norm", norm));
        model.eval();
        stab.nn.utils.fuse_norms(model, out var report, randn(2, 3, 4, 4));
        Assert.Single(report.Changes);
    }

    /// <summary>Every tensor and generator of a proof names its device: the default device is no part of it.</summary>
    [Fact]
    public void The_default_device_has_no_part_in_a_proof()
    {
        using var scope = NewDisposeScope();
        nn.Module<Tensor, Tensor> conv = nn.Conv2d(3, 3, 1, device: CPU), norm = nn.BatchNorm2d(3, device: CPU);
        using var model = (Custom)InCustom(conv, norm);
        model.eval();
        var x = randn(2, 3, 4, 4, device: CPU);
        var before = get_default_device();
        set_default_device(new Device("meta"));
        try
        {
            foreach (var example in (Tensor?[])[null, x])
            {
                stab.nn.utils.fuse_norms(model, out var report, example);
                Assert.True(example is null ? report.Changes.Count == 1 : report.Changes.Count + report.Refusals.Count == 0, report.ToString());
            }
        }
        finally
        {
            set_default_device(before);
        }
        Assert.True(model.call(x).isfinite().all().item<bool>());
    }

    [Fact]
    public void A_model_on_the_meta_device_is_folded_where_the_order_is_known_and_listed_elsewhere()
    {
        using var known = nn.Sequential(nn.Conv2d(3, 3, 1, device: META), nn.BatchNorm2d(3, device: META));
        using var unknown = InCustom(nn.Conv2d(3, 3, 1, device: META), nn.BatchNorm2d(3, device: META));
        known.eval();
        unknown.eval();
        stab.nn.utils.fuse_norms(known, out var folded);
        stab.nn.utils.fuse_norms(unknown, out var left);
        Assert.Equal((1, 1), (folded.Changes.Count, left.Refusals.Count));
    }

    private static nn.Module<Tensor, Tensor> Random(nn.Module<Tensor, Tensor> norm)
    {
        using var _ = no_grad();
        foreach (var (name, tensor) in norm.state_dict())
            if (name != "num_batches_tracked") tensor.copy_(name == "running_var" ? rand_like(tensor) + 0.5 : randn_like(tensor));
        return norm;
    }
}

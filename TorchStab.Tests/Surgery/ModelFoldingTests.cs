using TorchSharp.Modules;
using TorchStab.Tests.Support;
using TorchStab.Tests.Surgery.Models;
using static TorchSharp.torch;

namespace TorchStab.Tests.Surgery;

/// <summary>fuse_norms.</summary>
public class ModelFoldingTests
{
    public static TheoryData<string, bool> Networks =>
        new() { { "ResNet-18", true }, { "ResNet-18", false }, { "MobileNetV2", false }, { "U-Net", true }, { "U-Net", false } };

    [Theory]
    [MemberData(nameof(Networks))]
    public void Folds_a_whole_network(string name, bool withExample)
    {
        foreach (var dtype in (ScalarType[])[ScalarType.Float64, ScalarType.Float32])
        {
            using var scope = NewDisposeScope();
            var (model, swapped) = RealModels.Pair(name, dtype);
            stab.nn.utils.swap_norms_(swapped);
            var input = RealModels.All[name].input(dtype);
            model.eval();
            var expected = model.call(input);
            foreach (var network in (nn.Module<Tensor, Tensor>[])[model, swapped])
            {
                network.eval();
                Assert.Same(network, stab.nn.utils.fuse_norms(network, out var report, withExample ? input : null));
                Assert.True(report.Changes.Count == RealModels.All[name].norms && report.Refusals.Count == 0, report.ToString());
                RealModels.Relative(expected, network.call(input), Tolerance.Folded(dtype), $"{name} {dtype}");
                Assert.All(network.parameters(), p => Assert.True(p.is_leaf && p.requires_grad && !p.IsInvalid));
                Assert.Empty(RealModels.Norms(network, "TorchSharp").Concat(RealModels.Norms(network, "TorchStab")));
                network.Dispose();
            }
        }
    }

    private sealed class Block : nn.Module<Tensor, Tensor>
    {
        public readonly nn.Module<Tensor, Tensor> conv1 = nn.Conv2d(3, 3, 3, padding: 1), conv2 = nn.Conv2d(3, 3, 3, padding: 1);
        public readonly nn.Module<Tensor, Tensor> bn1 = nn.BatchNorm2d(3), bn2 = nn.BatchNorm2d(3), bn3 = nn.BatchNorm2d(3);
        public readonly BatchNorm2d sealedNorm = nn.BatchNorm2d(3);

        public Block() : base(nameof(Block)) => RegisterComponents();

        /// <summary>bn1 follows conv1 but the skip takes conv1's output too; bn2 follows a ReLU; bn3 is not used at all.</summary>
        public override Tensor forward(Tensor x)
        {
            var a = conv1.call(x);
            var b = bn1.call(a);
            return sealedNorm.call(bn2.call(conv2.call(b).relu()) + a);
        }
    }

    [Fact]
    public void Folds_only_what_it_can_prove()
    {
        using var scope = NewDisposeScope();
        manual_seed(1);
        using var model = new Block();
        using (no_grad()) (model.bn2 as BatchNorm2d)!.weight.zero_(); // a zero-initialized residual branch is not blind
        model.eval();
        var before = model.state_dict().ToDictionary(p => p.Key, p => p.Value.clone());
        foreach (var example in (Tensor?[])[null, randn(2, 3, 8, 8)])
        {
            stab.nn.utils.fuse_norms(model, out var report, example);
            Assert.Empty(report.Changes);
            Assert.Equal(["bn1", "bn2", "bn3", "sealedNorm"], report.Refusals.Select(r => r.Path).Order());
            Assert.Contains("Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor> sealedNorm;",
                report.Refusals.Single(r => r.Path == "sealedNorm").Replacement);
            foreach (var (key, value) in model.state_dict()) Compare.Identical(before[key], value, key);
        }
    }

    [Fact]
    public void Leaves_a_ReLU_where_a_BatchNormReLU_was()
    {
        using var scope = NewDisposeScope();
        using var model = nn.Sequential(nn.Linear(4, 6, hasBias: false), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2));
        stab.nn.utils.swap_norms_(model, new SwapOptions { FuseReLU = true });
        model.call(randn(8, 4));
        model.eval();
        var x = randn(5, 4);
        var expected = model.call(x);
        Compare.Close(expected, stab.nn.utils.fuse_norms(model, x).call(x), "folded");
        Assert.Equal(["Linear", "ReLU", "Identity", "Linear"], model.children().Select(m => m.GetType().Name));
    }

    [Fact]
    public void Leaves_alone_what_others_use_or_look_at()
    {
        using var scope = NewDisposeScope();
        var (seen, shared) = (nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3));
        using var model = nn.Sequential(seen, nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1), shared, nn.ReLU(), shared, nn.BatchNorm2d(3));
        seen.register_forward_hook((_, _, output) => output.alias());
        model.eval();
        var x = randn(2, 3, 4, 4);
        var expected = model.call(x);
        stab.nn.utils.fuse_norms(model, out var report);
        Assert.Empty(report.Changes);
        Assert.Contains("hook", report.Refusals[0].Reason);
        Compare.Identical(expected, model.call(x), "unchanged");
    }

    [Fact]
    public void Refuses_a_model_in_training_mode()
    {
        using var model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3));
        Assert.Contains("Fusion only for eval!", Assert.Throws<InvalidOperationException>(() => stab.nn.utils.fuse_norms(model)).Message);
        Assert.Equal(["Conv2d", "BatchNorm2d"], model.children().Select(m => m.GetType().Name));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_rebound_optimizer_trains_the_folded_model(bool wrapped)
    {
        using var scope = NewDisposeScope();
        manual_seed(4);
        using var model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 2));
        using var ours = stab.optim.Adam(model.named_parameters(), 1e-2, global_clipnorm: 1);
        using var wrapper = stab.optim.ClippedOptimizer(stab.optim.Adam(model.named_parameters(), 1e-2), GradientClip.ByGlobalNorm(1));
        optim.Optimizer adam = wrapped ? wrapper : ours;
        stab.nn.utils.swap_norms_(model);
        model.call(randn(8, 4)).square().mean().backward();
        adam.step();
        model.eval();
        Assert.Single(stab.nn.utils.fuse_norms(model, randn(8, 4)).children().OfType<Identity>());
        if (wrapped) wrapper.rebind(model);
        else ours.rebind(model);
        var x = randn(8, 4);
        var before = model.call(x).square().mean().item<float>();
        for (int i = 0; i < 20; i++)
        {
            adam.zero_grad();
            model.call(x).square().mean().backward();
            adam.step();
        }
        Assert.True(model.call(x).square().mean().item<float>() < before);
    }

    [Fact]
    public void Leaves_no_tensors() => LiveTensors.AssertNoneLeft(() =>
    {
        using var model = nn.Sequential(nn.Conv2d(2, 3, 3, bias: false), nn.BatchNorm2d(3));
        model.eval();
        stab.nn.utils.fuse_norms(model);
    }, parameters: 5);
}

using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Optimization;

public class OptimizerStateTests
{
    public static TheoryData<string> Kinds => ClippingAwareOptimizerTests.Kinds;

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_file_written_mid_training_continues_bit_for_bit(string kind)
    {
        using var scope = NewDisposeScope();
        using var a = Make.Network(1);
        using var original = Make.Optimizers[kind](a.named_parameters());
        original.Clip = GradientClip.ZScore(warmup: 2, maxNorm: 0.05);
        for (int step = 0; step < 5; step++) ClippingAwareOptimizerTests.Step(original, a, step);
        using var file = new MemoryStream();
        original.save_state_dict(new BinaryWriter(file));
        using var b = Make.Network(2);
        b.load_state_dict(a.state_dict());
        using var restored = Make.Optimizers[kind](b.named_parameters());
        restored.Clip = GradientClip.ZScore(warmup: 2, maxNorm: 0.05);
        file.Position = 0;
        using (NewDisposeScope()) restored.load_state_dict(new BinaryReader(file));
        using var c = Make.Network(3);
        c.load_state_dict(a.state_dict());
        using var copied = Make.Optimizers[kind](c.named_parameters());
        using (NewDisposeScope()) copied.load_state_dict(original.state_dict());
        for (int i = 0; i < original.state_dict().State.Count; i++)
            Assert.True(original.state_dict().State[i].ApproximatelyEquals(copied.state_dict().State[i]));
        for (int step = 5; step < 9; step++)
        {
            ClippingAwareOptimizerTests.Step(original, a, step);
            ClippingAwareOptimizerTests.Step(restored, b, step);
            Assert.Equal(original.LastStep, restored.LastStep);
        }
        foreach (var (p, q) in a.parameters().Zip(b.parameters())) Compare.Identical(p, q, "parameter");
    }

    public static TheoryData<string> Hosts => ["Adam", "AdamW", "SGD", "RMSProp"];

    [Theory]
    [MemberData(nameof(Hosts))]
    public void Files_of_torch_optim_load_and_the_other_way(string kind)
    {
        using var scope = NewDisposeScope();
        using var a = Make.Network(1);
        using var b = Make.Network(1);
        using var theirs = Theirs(kind, a);
        using var ours = Ours(kind, b);
        for (int step = 0; step < 3; step++) ClippingAwareOptimizerTests.Step(theirs, a, step);
        b.load_state_dict(a.state_dict());
        using var file = new MemoryStream();
        theirs.save_state_dict(new BinaryWriter(file));
        file.Position = 0;
        ours.load_state_dict(new BinaryReader(file));
        Assert.Equal(0.02, ours.ParamGroups.Single().LearningRate);
        Together();
        using var back = new MemoryStream();
        ours.save_state_dict(new BinaryWriter(back));
        back.Position = 0;
        theirs.load_state_dict(new BinaryReader(back));
        Together();
        ours.load_state_dict(theirs.state_dict());
        Together();

        void Together()
        {
            ClippingAwareOptimizerTests.Step(theirs, a, 10);
            ClippingAwareOptimizerTests.Step(ours, b, 10);
            ClippingAwareOptimizerTests.AssertSame(a, b);
        }
    }

    [Fact]
    public void A_state_that_does_not_fit_changes_nothing()
    {
        using var scope = NewDisposeScope();
        using var network = Make.Network(1);
        using var optimizer = stab.optim.Adam(network.parameters(), 0.01);
        ClippingAwareOptimizerTests.Step(optimizer, network, 1);
        var before = ((TorchStab.Modules.Adam.State)optimizer.state_dict().State[0]).exp_avg.clone();
        using var other = stab.optim.Adam(network.parameters().Reverse(), 0.5);
        using var fewer = stab.optim.Adam(network.parameters().Take(2));
        using var sgd = stab.optim.SGD(network.parameters(), 0.5);
        using var grouped = stab.optim.Adam(network.parameters().Select(p => new TorchStab.Modules.Adam.ParamGroup([p])));
        Assert.Contains("different number of states: expected 4, got 2",
            Assert.Throws<ArgumentException>(() => optimizer.load_state_dict(fewer.state_dict())).Message, StringComparison.Ordinal);
        Assert.Contains("parameter groups: expected 1, got 4", Assert.Throws<ArgumentException>(() => optimizer.load_state_dict(grouped.state_dict())).Message,
            StringComparison.Ordinal);
        foreach (var source in new TorchStab.Modules.ClippingAwareOptimizer[] { other, fewer, sgd })
        {
            Assert.ThrowsAny<SystemException>(() => optimizer.load_state_dict(source.state_dict()));
            using var file = new MemoryStream();
            source.save_state_dict(new BinaryWriter(file));
            file.Position = 0;
            Assert.ThrowsAny<SystemException>(() => optimizer.load_state_dict(new BinaryReader(file)));
        }
        using var whole = new MemoryStream();
        other.save_state_dict(new BinaryWriter(whole));
        Assert.ThrowsAny<Exception>(() => optimizer.load_state_dict(new BinaryReader(new MemoryStream(whole.ToArray()[..100]))));
        Compare.Identical(before, ((TorchStab.Modules.Adam.State)optimizer.state_dict().State[0]).exp_avg, "state");
        Assert.Equal(0.01, optimizer.ParamGroups.Single().LearningRate);
    }

    [Fact]
    public void Groups_take_what_they_leave_unset_from_the_optimizer()
    {
        using var scope = NewDisposeScope();
        using var network = Make.Network(1);
        var all = network.parameters().ToList();
        using var optimizer = stab.optim.Adam([new TorchStab.Modules.Adam.ParamGroup(all.Take(1)),
            new TorchStab.Modules.Adam.ParamGroup(all.Skip(1).Take(1), 0.5, eps: 1e-3)], 0.25, 0.8);
        optimizer.add_param_group(new TorchStab.Modules.Adam.ParamGroup { Parameters = all.Skip(2) });
        Assert.Equal([0.25, 0.5, 0.25], optimizer.ParamGroups.Select(g => g.LearningRate));
        Assert.Equal([0.25, 0.5, 0.25], optimizer.ParamGroups.Select(g => g.InitialLearningRate));
        Assert.All(optimizer.ParamGroups.Cast<TorchStab.Modules.Adam.ParamGroup>(), g => Assert.Equal((0.8, 0.999), g.Betas));
        Assert.Throws<ArgumentException>(() => optimizer.add_param_group(new TorchStab.Modules.Adam.ParamGroup(all)));
        Assert.Throws<ArgumentException>(() => optimizer.add_param_group(new TorchStab.Modules.AdamW.ParamGroup([Make.Parameter(ones(1))])));
        Assert.Throws<ArgumentException>(() => optimizer.add_param_group(new TorchStab.Modules.Adam.ParamGroup([Make.Parameter(ones(1))], beta1: 2)));
        Assert.Equal(3, optimizer.ParamGroups.Count());
        ClippingAwareOptimizerTests.Step(optimizer, network, 1);
        var late = Make.Parameter(ones(1));
        optimizer.add_param_group(new TorchStab.Modules.Adam.ParamGroup([late]));
        ClippingAwareOptimizerTests.Step(optimizer, network, 2);
        Compare.Identical(ones(1), late, "without a gradient");
        late.grad = ones(1);
        optimizer.step();
        Compare.Close(full(1, 0.75f), late, "a group that came after a step");
    }

    [Fact]
    public void A_group_may_have_a_threshold_of_its_own()
    {
        using var scope = NewDisposeScope();
        var (a, b, c) = (Make.Parameter(full(1, 3.0)), Make.Parameter(full(1, 4.0)), Make.Parameter(full(1, 7.0)));
        using var optimizer = stab.optim.SGD([new TorchStab.Modules.SGD.ParamGroup([a]), new([b]), new([c], clipvalue: 2)], 1, global_clipnorm: 1);
        optimizer.step();
        Compare.Close(full(1, 1 - 0.6f), a, "a");
        Compare.Close(full(1, 1 - 0.8f), b, "b");
        Compare.Close(full(1, -1f), c, "c");
        Assert.Equal(Math.Sqrt(9 + 16 + 49), optimizer.LastStep.GradNorm, Tolerance.Float32);
        Assert.Equal(0.2, optimizer.LastStep.Coefficient, Tolerance.Float32);
    }

    private static OptimizerHelper Theirs(string kind, Sequential network) => kind switch
    {
        "Adam" => optim.Adam(network.parameters(), 0.02, amsgrad: true, weight_decay: 0.1),
        "AdamW" => optim.AdamW(network.parameters(), 0.02, weight_decay: 0.1),
        "SGD" => optim.SGD(network.parameters(), 0.02, 0.9),
        _ => optim.RMSProp(network.parameters(), 0.02, momentum: 0.5, centered: true),
    };

    private static TorchStab.Modules.ClippingAwareOptimizer Ours(string kind, Sequential network) => kind switch
    {
        "Adam" => stab.optim.Adam(network.parameters(), amsgrad: true),
        "AdamW" => stab.optim.AdamW(network.parameters()),
        "SGD" => stab.optim.SGD(network.parameters(), 1),
        _ => stab.optim.RMSprop(network.parameters(), centered: true),
    };
}
